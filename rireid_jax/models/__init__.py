"""Networks as Flax Linen modules. NHWC, PyTorch's explicit paddings."""

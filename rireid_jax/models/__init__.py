"""Networks as Flax Linen modules. Arrays are NHWC, and paddings are explicit, as in PyTorch."""

"""The networks, losses and training steps against PyTorch, from the layer to the ranked list."""

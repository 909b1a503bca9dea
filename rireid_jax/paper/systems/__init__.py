"""The systems of Table 3 that are made of networks: components of the paper's own."""

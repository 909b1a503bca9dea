"""A second implementation of the paper, in PyTorch, to check the JAX one against.

Mao, Zhang, Yang, *Resolution-invariant Person Re-Identification*, IJCAI 2019. Written from the
paper and from facts about its authors' published code (layers, names, sizes), without sight of
`rireid_jax`: where the two agree on the same weights and batches, a mistake would have to have been
made twice.

Everything is idiomatic PyTorch: images are `[B, 3, H, W]`, convolutions pad explicitly, and nothing
is imported from `rireid_jax`. Networks follow `.double()`, for comparison in float64.
"""

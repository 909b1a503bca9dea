"""Kinds of data sets: what several of them have in common, for the files in `data/datasets/` to derive from."""

"""Recipes of data sets that are built in a moment."""

PEDESTRIANS = dict(
    train_identities=3,
    test_identities=2,
    cameras=2,
    train_shots=2,
    query_shots=1,
    gallery_shots=1,
    height=32,
    width=16,
    min_width=4,
    kernel="bicubic",
    seed=0,
)
MARKET = dict(min_width=8, max_width=32, kernel="bicubic", rounding="round", seed=0)
FOLDER = dict(
    degrade=False,
    min_width=8,
    max_width=32,
    test_fraction=0.5,
    kernel="bicubic",
    rounding="round",
    seed=0,
)

"""A data set that is built in a moment."""

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

"""Definitions that several systems share, image by image."""

import numpy as np


def literal_scatter(features: np.ndarray, pids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The scatter within and between identities, per image."""
    total = sum(features) / len(features)
    within = between = np.zeros((features.shape[1],) * 2)
    for row, pid in zip(features, pids, strict=True):
        mean = sum(features[pid == pids]) / sum(pid == pids)
        within = within + np.outer(row - mean, row - mean) / len(features)
        between = between + np.outer(mean - total, mean - total) / len(features)
    return within, between

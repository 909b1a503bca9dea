"""k-reciprocal re-ranking by its definition, with whole matrices and sets, in float64."""

import numpy as np


def reranked(query, gallery, k1, k2, lambda_value):
    """Distances [Q, G]: Zhong et al., Eq. 2 to 12, with the conventions of the authors' program."""
    features = np.concatenate([query, gallery]).astype(np.float64)
    squared = ((features[:, None] - features) ** 2).sum(-1)
    distance = squared / squared.max(axis=1, keepdims=True)
    order = np.argsort(squared, axis=1, kind="stable")
    everybody = range(len(features))

    def reciprocal(image, k):  # Eq. 3
        return {j for j in order[image, : k + 1] if image in order[j, : k + 1]}

    half = int(np.around(k1 / 2))
    encoded = np.zeros_like(squared)
    for image in everybody:
        own = reciprocal(image, k1)
        grown = set(own)
        for j in own:  # Eq. 4
            theirs = reciprocal(j, half)
            if len(theirs & own) > 2 / 3 * len(theirs):
                grown |= theirs
        members = sorted(grown)
        weights = np.exp(-distance[image, members])  # Eq. 7
        encoded[image, members] = weights / weights.sum()
    if k2 > 1:  # Eq. 11
        encoded = np.stack([encoded[order[image, :k2]].mean(axis=0) for image in everybody])
    final = np.empty((len(query), len(gallery)))
    for i in range(len(query)):
        for j in range(len(gallery)):
            shared = np.minimum(encoded[i], encoded[len(query) + j]).sum()
            jaccard = 1 - shared / (2 - shared)  # Eq. 10, where rows have the sum 1
            original = distance[i, len(query) + j]
            final[i, j] = (1 - lambda_value) * jaccard + lambda_value * original  # Eq. 12
    return final

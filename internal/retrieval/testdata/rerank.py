"""k-reciprocal re-ranking, written down from Zhong et al., "Re-ranking Person Re-identification with k-reciprocal
Encoding" (CVPR 2017, arXiv 1701.08398), plainly, for the Go code to be compared with. Where the paper leaves something
open it follows the authors' program: distances are squared and divided by each row's greatest, a point is the first of
its own neighbours, and half of k1 is rounded to even."""
import numpy as np


def rerank(queries, gallery, k1, k2, weight):
    """Returns the final distances, [queries, gallery], of rows of length one."""
    points = np.concatenate([queries, gallery])
    n = len(points)
    distance = np.square(points[:, None] - points[None]).sum(-1)
    distance /= distance.max(axis=1, keepdims=True)
    ranking = np.argsort(distance, axis=1, kind="stable")

    def reciprocal(i, k):  # R(i, k), equation 2
        return {j for j in ranking[i, : k + 1] if i in ranking[j, : k + 1]}

    encoded = np.zeros((n, n))
    for i in range(n):
        base = reciprocal(i, k1)
        grown = set(base)
        for j in base:  # equation 3
            half = reciprocal(j, int(np.around(k1 / 2)))
            if len(base & half) > 2 / 3 * len(half):
                grown |= half
        members = sorted(grown)
        encoded[i, members] = np.exp(-distance[i, members])  # equation 7
        encoded[i] /= encoded[i].sum()
    if k2 > 1:  # local query expansion, equation 11
        encoded = np.stack([encoded[ranking[i, :k2]].mean(axis=0) for i in range(n)])

    final = np.empty((len(queries), len(gallery)))
    for i in range(len(queries)):
        overlap = np.minimum(encoded[i], encoded[len(queries) :]).sum(axis=1)
        jaccard = 1 - overlap / (2 - overlap)  # equations 8 to 10: the rows sum to 1
        final[i] = (1 - weight) * jaccard + weight * distance[i, len(queries) :]  # equation 12
    return final

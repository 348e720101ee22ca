"""Whether answers are right, judged by distance: Hamming distances tie all the time, and an answer is
right when its distances are, whichever of the tied rows it names."""

import numpy as np

from . import hamming
from .dataset import DataSet


def of_nearest(data: DataSet, ids: list[np.ndarray], k: int) -> float:
    """The share of the true k nearest that the answers to the first queries hold, by distance."""
    found = 0
    for query, (named, truth) in enumerate(zip(ids, data.nearest, strict=False)):
        distances = hamming.of_ids(data.rows, named, data.queries[query])
        found += min(k, int((distances <= truth[k - 1]).sum()))
    return found / (k * len(ids))


def nearest_agree(data: DataSet, ids: list[np.ndarray], k: int) -> bool:
    """Whether the distances of every answer are exactly the true ones."""
    return all(
        np.array_equal(hamming.of_ids(data.rows, named, data.queries[query]), truth[:k])
        for query, (named, truth) in enumerate(zip(ids, data.nearest, strict=False))
    )


def of_within(data: DataSet, ids: list[np.ndarray], radius: int) -> tuple[float, bool]:
    """The share of the true answers within a radius that was found, and whether all agree exactly.

    An answer that lies outside the radius is never right.
    """
    found = wanted = 0
    agree = True
    for query, named in enumerate(ids):
        distances = hamming.of_ids(data.rows, named, data.queries[query])
        truth = data.within(query, radius)
        agree = agree and np.array_equal(distances, truth)
        found += int((distances <= radius).sum())
        wanted += len(truth)
    return (found / wanted if wanted else 1.0), agree

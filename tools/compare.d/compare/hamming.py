"""Hamming distances by numpy alone: the oracle that no measured library has a part in."""

import numpy as np


def words(rows: np.ndarray) -> np.ndarray:
    """Codes (uint8 rows) as rows of 64-bit words, addresses (uint32) as rows of one word."""
    return rows.view(np.uint64) if rows.ndim == 2 else rows[:, None]


def distances(rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """The distance of every row to one query; `query` is a row of the same kind."""
    rows, query = words(rows), words(query[None])
    total = np.bitwise_count(rows[:, 0] ^ query[0, 0]).astype(np.int32)
    for word in range(1, rows.shape[1]):
        total += np.bitwise_count(rows[:, word] ^ query[0, word])
    return total


def of_ids(rows: np.ndarray, ids: np.ndarray, query: np.ndarray) -> np.ndarray:
    """The sorted distances of the rows that an answer names; an id named twice counts once."""
    ids = np.unique(np.asarray(ids, dtype=np.int64))
    return np.sort(distances(rows[ids[(ids >= 0) & (ids < len(rows))]], query))

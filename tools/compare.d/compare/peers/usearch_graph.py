"""usearch's graph.

Many queries go through one call, which answers them one after the other on one thread: a Python call
for each would cost several microseconds that are not the library's.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from usearch.index import Index, MetricKind, ScalarKind

from .. import timing
from ..dataset import DataSet
from ..task import Task
from ..timing import Measurement
from .peer import Peer

# Queries of a call.
CHUNK = 200


class Usearch(Peer):
    """The navigable small world graph of usearch."""

    exact = False
    modes = ("approx",)

    def make(self, bits: int) -> Index:
        """An empty index."""
        return Index(
            ndim=bits,
            metric=MetricKind.Hamming,
            dtype=ScalarKind.B1,
            connectivity=int(self.params["M"]),
            expansion_add=int(self.params["efConstruction"]),
        )

    def build(self, data: DataSet, folder: Path) -> None:
        """Adds on one thread, as the other graphs are built, and writes."""
        index = self.make(data.bits)
        index.add(np.arange(len(data.rows)), np.asarray(data.rows), threads=1)
        index.save(str(folder / "index"))

    def open(self, data: DataSet, folder: Path) -> None:
        """Reads the index into memory."""
        self.index = self.make(data.bits)
        self.index.load(str(folder / "index"))

    def settings(self, task: Task) -> Iterator[dict]:
        """Sizes of the search's queue."""
        for size in (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512):
            yield {"ef": size}

    def tune(self, task: Task, **setting: float) -> None:
        """Sets the size of the queue."""
        self.index.expansion_search = int(setting["ef"])

    def measure(self, data: DataSet, task: Task, budget: float) -> Measurement:
        """Times calls with many queries each."""
        queries = min(CHUNK, len(data.queries) // (2 * timing.PARTS))
        return super().measure(data, dataclasses.replace(task, batch=queries), budget)

    def knn(self, queries: np.ndarray, k: int) -> list:
        """Ids of the k nearest of each query."""
        found = self.index.search(queries, k, threads=1)
        return list(np.asarray(found.keys).reshape(len(queries), -1))

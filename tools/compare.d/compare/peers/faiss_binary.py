"""faiss' binary indexes.

Single queries go through the functions below numpy's convenience layer, with buffers made beforehand:
that layer costs some microseconds a call, as much as a whole search of the fast indexes.
"""

from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np

from ..dataset import DataSet
from ..task import Task
from .peer import KEPT, Calls, Peer

faiss.omp_set_num_threads(1)


class KnnCalls(Calls):
    """k nearest neighbours into buffers made beforehand."""

    def __init__(self, index: faiss.IndexBinary, queries: np.ndarray, task: Task) -> None:
        count = len(queries) // task.batch
        self.search, self.batch, self.k = index.search_c, task.batch, task.size
        self.distances = np.empty((count, task.batch, task.size), np.int32)
        self.found = np.empty((count, task.batch, task.size), np.int64)
        starts = range(0, count * task.batch, task.batch)
        self.pointers = [
            (faiss.swig_ptr(queries[start:]), faiss.swig_ptr(distances), faiss.swig_ptr(found))
            for start, distances, found in zip(starts, self.distances, self.found, strict=True)
        ]

    def __call__(self, index: int) -> None:
        """Answers one batch."""
        queries, distances, found = self.pointers[index]
        self.search(self.batch, queries, self.k, distances, found)

    def ids(self, index: int) -> list[np.ndarray]:
        """What it found."""
        return list(self.found[index])


class RangeCalls(Calls):
    """Radius searches, each with a result of its own as faiss wants it."""

    def __init__(self, index: faiss.IndexBinary, queries: np.ndarray, task: Task) -> None:
        self.search, self.radius = index.range_search_c, task.size + 1  # strictly less in faiss
        self.pointers = [faiss.swig_ptr(query) for query in queries]
        self.results: dict[int, faiss.RangeSearchResult] = {}

    def __call__(self, index: int) -> None:
        """Answers one query."""
        result = faiss.RangeSearchResult(1)
        self.search(1, self.pointers[index], self.radius, result)
        if index < KEPT:
            self.results[index] = result

    def ids(self, index: int) -> list[np.ndarray]:
        """What it found."""
        result = self.results[index]
        count = int(faiss.rev_swig_ptr(result.lims, 2)[1])
        return [faiss.rev_swig_ptr(result.labels, count).copy()]


def as_codes(rows: np.ndarray) -> np.ndarray:
    """Rows as faiss takes them: addresses become four bytes, least significant first."""
    codes = rows if rows.ndim == 2 else rows.view(np.uint8).reshape(-1, 4)
    return np.ascontiguousarray(codes)


class Faiss(Peer):
    """What the indexes share."""

    modes = ("knn", "range", "ball")

    def make(self, bits: int) -> faiss.IndexBinary:
        """An empty index."""
        raise NotImplementedError

    def build(self, data: DataSet, folder: Path) -> None:
        """Trains, adds and writes."""
        codes = as_codes(data.rows)
        index = self.make(codes.shape[1] * 8)
        if not index.is_trained:
            wanted = min(len(codes), 50 * int(self.params["nlist"]))
            index.train(np.ascontiguousarray(codes[:: len(codes) // wanted][:wanted]))
        index.add(codes)
        faiss.write_index_binary(index, str(folder / "index"))

    def open(self, data: DataSet, folder: Path) -> None:
        """Reads the index into memory."""
        self.index = faiss.read_index_binary(str(folder / "index"))

    def calls(self, queries: np.ndarray, task: Task) -> Calls:
        """The calls to be timed."""
        calls = KnnCalls if task.mode in ("knn", "approx") else RangeCalls
        return calls(self.index, as_codes(queries), task)


class Flat(Faiss):
    """The scan of all codes: the base of every ratio."""

    def make(self, bits: int) -> faiss.IndexBinary:
        """An empty index."""
        return faiss.IndexBinaryFlat(bits)

    def build(self, data: DataSet, folder: Path) -> None:
        """Needs no file: the rows are the index."""

    def open(self, data: DataSet, folder: Path) -> None:
        """Copies the rows into memory."""
        codes = as_codes(data.rows)
        self.index = self.make(codes.shape[1] * 8)
        self.index.add(codes)


class Ivf(Faiss):
    """Inverted lists; `nprobe` of them are scanned."""

    exact = False
    modes = ("approx", "range")

    def make(self, bits: int) -> faiss.IndexBinary:
        """An empty index with its quantizer."""
        self.quantizer = faiss.IndexBinaryFlat(bits)
        return faiss.IndexBinaryIVF(self.quantizer, bits, int(self.params["nlist"]))

    def settings(self, task: Task) -> Iterator[dict]:
        """Powers of two and what lies between."""
        for nprobe in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128):
            if task.mode == "approx" or nprobe == 16:
                yield {"nprobe": nprobe}

    def tune(self, task: Task, **setting: float) -> None:
        """Sets the number of lists."""
        self.index.nprobe = int(setting["nprobe"])


class Hnsw(Faiss):
    """The navigable small world graph."""

    exact = False
    modes = ("approx",)

    def make(self, bits: int) -> faiss.IndexBinary:
        """An empty index."""
        index = faiss.IndexBinaryHNSW(bits, int(self.params["M"]))
        index.hnsw.efConstruction = int(self.params["efConstruction"])
        return index

    def settings(self, task: Task) -> Iterator[dict]:
        """Sizes of the search's queue."""
        for size in (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512):
            yield {"efSearch": size}

    def tune(self, task: Task, **setting: float) -> None:
        """Sets the size of the queue."""
        self.index.hnsw.efSearch = int(setting["efSearch"])


class MultiHash(Faiss):
    """Multi-index hashing. With `nflip` flips in each of `nhash` substrings a radius below
    nhash * (nflip + 1) is searched exactly; ThreatExchange uses 16 substrings of 16 bits for PDQ."""

    modes = ("range",)

    def make(self, bits: int) -> faiss.IndexBinary:
        """An empty index."""
        return faiss.IndexBinaryMultiHash(bits, int(self.params["nhash"]), int(self.params["b"]))

    def tune(self, task: Task, **setting: float) -> None:
        """As many flips as make the radius exact."""
        self.index.nflip = task.size // int(self.params["nhash"])


class Hash(Faiss):
    """One hash table by the first b bits; over whole addresses a ball is searched exactly."""

    modes = ("ball",)

    def make(self, bits: int) -> faiss.IndexBinary:
        """An empty index."""
        return faiss.IndexBinaryHash(bits, int(self.params["b"]))

    def tune(self, task: Task, **setting: float) -> None:
        """As many flips as the ball's radius."""
        self.index.nflip = task.size

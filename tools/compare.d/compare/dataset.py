"""The data sets by name, and their loading: rows, fresh queries and the true answers.

The truth is made of distances, not of ids, because ties leave the choice of ids open. It is computed
by faiss' flat index and checked against numpy for some queries.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import cache, generate, hamming, realdata

K = 10
# Queries for which numpy repeats the truth.
CHECKED = 20
# Address queries whose balls are known; each costs a pass of numpy over all rows.
BALLS = 100
# Changes whenever the generators do, so that cached data are made again.
VERSION = 1


@dataclass(frozen=True)
class Source:
    """How a data set comes about; `rows` is None where the data themselves say how many there are."""

    title: str
    make: Callable[..., tuple[np.ndarray, np.ndarray]]
    rows: int | None
    queries: int
    radii: tuple[int, ...]


MILLION = 1_000_000
SOURCES = {
    "mixture": Source("tight clusters", generate.mixture, MILLION, 10_000, (31,)),
    "smooth": Source("20 latent dimensions, no clusters", generate.smooth, MILLION, 10_000, (31,)),
    "planted": Source(
        "random with planted neighbours", generate.planted, 10 * MILLION, 5_000, (31,)
    ),
    "uniform28": Source(
        "uniform 28-bit addresses", generate.uniform_addresses, 10 * MILLION, 50_000, (3, 5)
    ),
    "clustered28": Source(
        "clustered 28-bit addresses", generate.clustered_addresses, 10 * MILLION, 50_000, (3, 5)
    ),
    "pictures": Source("pictures by the default encoder", realdata.pictures, None, 5_000, (31,)),
    "pdq": Source("PDQ hashes of ThreatExchange", realdata.pdq, None, 100, (31,)),
}


@dataclass
class DataSet:
    """Rows, queries, and what the queries ought to find."""

    name: str
    title: str
    rows: np.ndarray
    queries: np.ndarray
    radii: tuple[int, ...]
    nearest: np.ndarray
    """Distances of the K nearest, a row a query; empty for addresses."""
    limits: np.ndarray
    found: np.ndarray
    folder: Path = field(default_factory=Path)

    @property
    def bits(self) -> int:
        """Bits of a code or an address."""
        return self.rows.shape[1] * 8 if self.rows.ndim == 2 else 28

    @property
    def is_codes(self) -> bool:
        """Codes, not addresses."""
        return self.rows.ndim == 2

    def within(self, query: int, radius: int) -> np.ndarray:
        """The sorted true distances up to a radius that is no larger than the largest of `radii`."""
        all_found = self.found[self.limits[query] : self.limits[query + 1]]
        return all_found[all_found <= radius]

    @property
    def known_balls(self) -> int:
        """The number of first queries for which `within` knows the answer."""
        return len(self.limits) - 1


def label(name: str, rows: int) -> str:
    """The name of a set with its size, as tables print it."""
    if rows % MILLION == 0:
        return f"{name} {rows // MILLION}M"
    return f"{name} {rows // 1000}k" if rows % 1000 == 0 else f"{name} {rows:,}"


def prepare(name: str, rows: int | None, queries: int | None = None) -> Path:
    """Makes a data set unless it is cached; returns its folder."""
    source = SOURCES[name]
    rows = rows if source.rows else None
    queries = min(queries or source.queries, source.queries)
    folder = cache.folder_of("data", f"{name}-{rows or realdata.stamp(name)}-{queries}-v{VERSION}")
    cache.made(folder, lambda into: _write(source, rows, queries, into))
    return folder


def load(name: str, folder: Path) -> DataSet:
    """Loads a prepared data set; rows stay mapped."""

    def part(which: str) -> np.ndarray:
        return np.load(folder / f"{which}.npy", mmap_mode="r" if which == "rows" else None)

    source = SOURCES[name]
    parts = {which: part(which) for which in ("rows", "queries", "nearest", "limits", "found")}
    return DataSet(name, source.title, radii=source.radii, folder=folder, **parts)


def _write(source: Source, rows: int | None, queries: int, into: Path) -> dict:
    start = time.perf_counter()
    base, wanted = source.make(rows, queries) if rows else source.make(queries)
    truth = _truth_of_codes if base.ndim == 2 else _truth_of_balls
    nearest, limits, found = truth(base, wanted, max(source.radii))
    parts = {"rows": base, "queries": wanted, "nearest": nearest, "limits": limits, "found": found}
    for which, array in parts.items():
        np.save(into / f"{which}.npy", array)
    seconds = time.perf_counter() - start
    made = f"made {source.title}: {len(base)} rows, {len(wanted)} queries, {seconds:.0f} s"
    print(made, file=sys.stderr, flush=True)
    return {"rows": len(base), "queries": len(wanted), "seconds": seconds}


def _truth_of_codes(base: np.ndarray, queries: np.ndarray, radius: int):
    import faiss

    index = faiss.IndexBinaryFlat(base.shape[1] * 8)
    index.add(base)
    nearest = np.sort(index.search(queries, K)[0], axis=1).astype(np.int32)
    limits, distances, _ = index.range_search(queries, radius + 1)  # faiss wants strictly less
    limits = limits.astype(np.int64)
    found = distances.astype(np.uint16)
    for query in range(len(queries)):
        found[limits[query] : limits[query + 1]].sort()
    for query in range(min(CHECKED, len(queries))):
        all_distances = np.sort(hamming.distances(base, queries[query]))
        inside = all_distances[all_distances <= radius]
        if not np.array_equal(all_distances[:K], nearest[query]) or not np.array_equal(
            inside, found[limits[query] : limits[query + 1]]
        ):
            raise AssertionError(f"faiss and numpy disagree on query {query}")
    return nearest, limits, found


def _truth_of_balls(base: np.ndarray, queries: np.ndarray, radius: int):
    found = []
    for query in queries[:BALLS]:
        distances = hamming.distances(base, query)
        found.append(np.sort(distances[distances <= radius]).astype(np.uint16))
    limits = np.cumsum([0] + [len(part) for part in found]).astype(np.int64)
    return np.empty((0, K), np.int32), limits, np.concatenate(found)

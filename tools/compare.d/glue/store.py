"""The glue: faiss' IndexBinaryFlat holds the codes, SQLite holds id -> key and value; id n is vector n."""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import faiss
import numpy as np

# SQLite's pages in memory; with its usual 2 MiB a load with keys in no order takes twice as long.
CACHE_MIB = 256
# Values that are cut out of an array at once.
STRIDE = 10_000


class DriftError(Exception):
    """The two stores do not hold the same records."""


class Glue:
    """The glue as careful users write it, every step durable before the next.

    What it cannot do is one atomic commit over both stores: neither library can take part in the commit
    of the other. A load writes the whole index to a temporary name, syncs and renames it, and then
    commits SQLite's transaction; a process that dies between the two leaves vectors without rows. (The
    other order leaves rows without vectors.) Such a drift is noticed when the store is opened, because
    ids are dense and the two counts differ, and refused; where records are replaced or deleted, equal
    counts would prove nothing. `NamedGlue` is what it takes to close the gap.

    One process at a time may use it. After an error it has to be opened anew.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.gap = 0.0
        """Seconds from the index's new name to the end of the last commit: the most that a crash can hit."""
        self.db = sqlite3.connect(folder / "records.sqlite", isolation_level=None)
        self.db.execute("pragma journal_mode = wal")
        self.db.execute("pragma synchronous = full")
        self.db.execute(f"pragma cache_size = {-CACHE_MIB * 1024}")
        self.db.execute(
            "create table if not exists records"
            "(id integer primary key, key text not null, value blob not null)"
        )
        self.index = self.read_index()
        (rows,) = self.db.execute("select coalesce(max(id) + 1, 0) from records").fetchone()
        if rows != self.index.ntotal:
            raise DriftError(f"{rows} rows in SQLite, {self.index.ntotal} vectors in faiss")

    def add(self, codes: np.ndarray, keys: Sequence[str], values: np.ndarray) -> None:
        """Adds records in one transaction; they are durable when it returns."""
        first = self.index.ntotal
        self.db.execute("begin immediate")
        try:
            rows = zip(range(first, first + len(keys)), keys, pieces(values), strict=True)
            self.db.executemany("insert into records values (?, ?, ?)", rows)
            # Behind the first rows, since sorting them beats inserting them in no order.
            self.db.execute("create unique index if not exists by_key on records(key)")
            self.index.add(codes)
            named = self.save_index()
            self.db.execute("commit")
            self.gap = time.perf_counter() - named
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("rollback")
            raise

    def search(self, queries: np.ndarray, k: int) -> list[list[tuple[str, int]]]:
        """Keys and distances of the k nearest of each query."""
        distances, ids = self.index.search(queries, k)
        return [
            [(self.key(int(id)), int(far)) for id, far in zip(*line, strict=True) if id >= 0]
            for line in zip(ids, distances, strict=True)
        ]

    def key(self, id: int) -> str:
        """The key of an id."""
        return self.db.execute("select key from records where id = ?", (id,)).fetchone()[0]

    def rows(self) -> Iterator[tuple[str, bytes]]:
        """Keys and values in the order of ids."""
        return self.db.execute("select key, value from records order by id")

    def codes(self) -> np.ndarray:
        """All codes in the order of ids."""
        flat = faiss.vector_to_array(self.index.xb)
        return flat.reshape(self.index.ntotal, self.index.code_size)

    def close(self) -> None:
        """Closes SQLite, which puts its log back into the main file."""
        self.db.close()

    def read_index(self) -> faiss.IndexBinaryFlat:
        """The index as the last load left it."""
        path = self.folder / "codes.faiss"
        return faiss.read_index_binary(str(path)) if path.exists() else empty()

    def save_index(self) -> float:
        """Writes the whole index, then gives it its name; returns when that was."""
        unfinished = self.folder / "codes.faiss.unfinished"
        faiss.write_index_binary(self.index, str(unfinished))
        sync(unfinished)
        unfinished.rename(self.folder / "codes.faiss")
        named = time.perf_counter()
        sync(self.folder)
        return named


class NamedGlue(Glue):
    """The glue without the gap: SQLite says which index file counts.

    Each load writes its index under a new name and puts that name into SQLite in the transaction of its
    rows, so that one commit makes both count; opening removes files that no commit names. This costs a
    second index on the disk while a load runs, and the discipline that nobody writes either store by
    another way. Nothing is rebuilt after a crash. What stays: each load, however small, writes all codes
    again, they all lie in memory, and faiss' file has no checksums.
    """

    def read_index(self) -> faiss.IndexBinaryFlat:
        """The index that SQLite names."""
        self.db.execute("create table if not exists current(name text not null)")
        found = self.db.execute("select name from current").fetchone()
        self.named = found and found[0]
        for path in self.folder.glob("*.faiss"):
            if path.name != self.named:
                path.unlink()
        return faiss.read_index_binary(str(self.folder / self.named)) if found else empty()

    def save_index(self) -> float:
        """Writes the whole index under a name of its own and has the transaction name it."""
        self.before, self.named = self.named, f"codes-{self.index.ntotal}.faiss"
        path = self.folder / self.named
        faiss.write_index_binary(self.index, str(path))
        sync(path)
        sync(self.folder)
        self.db.execute("delete from current")
        self.db.execute("insert into current values (?)", (self.named,))
        return time.perf_counter()

    def add(self, codes: np.ndarray, keys: Sequence[str], values: np.ndarray) -> None:
        """Adds records in one transaction, then removes the index before."""
        if keys:
            super().add(codes, keys, values)
            self.gap = 0.0
            if self.before:
                (self.folder / self.before).unlink()


def empty() -> faiss.IndexBinaryFlat:
    """An index for codes of 256 bits."""
    return faiss.IndexBinaryFlat(256)


def pieces(values: np.ndarray) -> Iterator[bytes]:
    """The rows of an array as bytes, some thousands copied at once."""
    width = values.shape[1]
    for start in range(0, len(values), STRIDE):
        block = values[start : start + STRIDE].tobytes()
        yield from (block[at : at + width] for at in range(0, len(block), width))


def sync(path: Path) -> None:
    """Has the kernel write a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

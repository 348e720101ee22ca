"""DuckDB: a code as unsigned 64-bit columns, distances by bit_count."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from ..dataset import DataSet
from .peer import Peer


class DuckDb(Peer):
    """A table that is scanned."""

    def connect(self, folder: Path) -> None:
        """Opens the file for one thread."""
        self.db = duckdb.connect(str(folder / "codes.duckdb"))
        self.db.execute("set threads = 1")

    def build(self, data: DataSet, folder: Path) -> None:
        """Copies the codes in and makes them durable."""
        self.connect(folder)
        words = np.asarray(data.rows).view(np.uint64)
        columns = {f"w{at}": np.ascontiguousarray(words[:, at]) for at in range(words.shape[1])}
        source = pa.table({"id": np.arange(len(words)), **columns})
        self.db.register("source", source)
        self.db.execute("create table codes as select * from source")
        self.db.execute("checkpoint")
        self.db.close()

    def open(self, data: DataSet, folder: Path) -> None:
        """Opens the file."""
        self.connect(folder)

    @staticmethod
    def distance(query: np.ndarray) -> str:
        """The distance to one query in SQL."""
        words = enumerate(query.view(np.uint64).tolist())
        return " + ".join(f"bit_count(xor(w{at}, {word}::ubigint))::smallint" for at, word in words)

    def knn(self, queries: np.ndarray, k: int) -> list:
        """Ids of the k nearest of each query."""
        texts = (
            f"select id from codes order by {self.distance(query)} limit {k}" for query in queries
        )
        return [[id for (id,) in self.db.execute(text).fetchall()] for text in texts]

    def within(self, query: np.ndarray, radius: int) -> list:
        """Ids within a radius."""
        text = f"select id from codes where {self.distance(query)} <= {radius}"
        return [id for (id,) in self.db.execute(text).fetchall()]

"""sqlite-vec: a virtual table of bit vectors in SQLite."""

from pathlib import Path

import numpy as np
import sqlite_vec

from ..dataset import DataSet
from .peer import Peer

# The most that vec0 gives back.
MOST = 4096


class SqliteVec(Peer):
    """The vec0 table, which scans."""

    def connect(self, folder: Path) -> None:
        """Opens the file with the extension loaded."""
        import sqlite3

        if not hasattr(sqlite3.Connection, "enable_load_extension"):
            import pysqlite3 as sqlite3
        self.db = sqlite3.connect(folder / "vectors.sqlite")
        self.db.enable_load_extension(True)
        sqlite_vec.load(self.db)

    def build(self, data: DataSet, folder: Path) -> None:
        """Inserts everything in one transaction."""
        self.connect(folder)
        self.db.execute(f"create virtual table codes using vec0(code bit[{data.bits}])")
        rows = ((id, code.tobytes()) for id, code in enumerate(data.rows))
        with self.db:
            self.db.executemany("insert into codes(rowid, code) values (?, vec_bit(?))", rows)
        self.db.close()

    def open(self, data: DataSet, folder: Path) -> None:
        """Opens the file."""
        self.connect(folder)

    def knn(self, queries: np.ndarray, k: int) -> list:
        """Ids of the k nearest of each query."""
        text = "select rowid from codes where code match vec_bit(?) and k = ?"
        return [[id for (id,) in self.db.execute(text, (query.tobytes(), k))] for query in queries]

    def within(self, query: np.ndarray, radius: int) -> list:
        """Ids within a radius."""
        text = (
            f"select rowid from codes where code match vec_bit(?) and distance <= ? and k = {MOST}"
        )
        return [id for (id,) in self.db.execute(text, (query.tobytes(), radius))]

"""LanceDB, by its scan or by its inverted lists."""

from collections.abc import Iterator
from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import IvfFlat

from ..dataset import DataSet
from ..task import Task
from .peer import Peer

CHUNK = 250_000


class Lance(Peer):
    """A table with a column of bytes; `nlist` builds inverted lists over it."""

    def __init__(self, **params: int | str) -> None:
        super().__init__(**params)
        self.probes = None
        if "nlist" in params:
            self.exact, self.modes = False, ("approx",)

    def build(self, data: DataSet, folder: Path) -> None:
        """Writes the table and its index."""
        width = data.rows.shape[1]
        schema = pa.schema([("id", pa.int64()), ("code", pa.list_(pa.uint8(), width))])
        table = lancedb.connect(folder / "db").create_table("codes", schema=schema)
        for start in range(0, len(data.rows), CHUNK):
            part = np.ascontiguousarray(data.rows[start : start + CHUNK])
            ids = pa.array(np.arange(start, start + len(part)))
            codes = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), width)
            table.add(pa.table([ids, codes], schema=schema))
        if "nlist" in self.params:
            config = IvfFlat(distance_type="hamming", num_partitions=int(self.params["nlist"]))
            table.create_index("code", config=config)

    def open(self, data: DataSet, folder: Path) -> None:
        """Opens the table."""
        self.table = lancedb.connect(folder / "db").open_table("codes")

    def settings(self, task: Task) -> Iterator[dict]:
        """Lists to scan."""
        if "nlist" not in self.params:
            yield {}
            return
        for probes in (1, 4, 16, 64):
            yield {"nprobes": probes}

    def tune(self, task: Task, **setting: float) -> None:
        """Sets the number of lists."""
        self.probes = setting.get("nprobes")

    def search(self, query: np.ndarray) -> object:
        """A search that is not limited yet."""
        search = self.table.search(query.tolist(), vector_column_name="code").distance_type(
            "hamming"
        )
        return (search.nprobes(int(self.probes)) if self.probes else search).select(
            ["id", "_distance"]
        )

    def knn(self, queries: np.ndarray, k: int) -> list:
        """Ids of the k nearest of each query."""
        return [self.search(query).limit(k).to_arrow()["id"].to_numpy() for query in queries]

    def within(self, query: np.ndarray, radius: int) -> list:
        """Ids within a radius; LanceDB's upper bound is exclusive."""
        search = self.search(query).distance_range(0, radius + 1).limit(1_000_000)
        return search.to_arrow()["id"].to_numpy()

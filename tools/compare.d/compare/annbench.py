"""hashdb as a module of ann-benchmarks (E. Bernhardsson et al.), for its Hamming data sets.

ann-benchmarks calls `fit` once, then `set_query_arguments` and `batch_query` for each setting. A call
starts a process, so run it with `--batch`; `query` is there for completeness and is as slow as that.
"""

import json
import tempfile
from pathlib import Path

import numpy as np

from .peers.hashdb import command, scratch


class Hashdb:
    """An `ann_benchmarks.algorithms.base.module.BaseANN` by its shape, without needing the package."""

    def __init__(self, metric: str = "hamming", code_bits: int | None = None) -> None:
        if metric != "hamming":
            raise NotImplementedError(f"hashdb measures Hamming distances, not {metric}")
        self.code_bits = code_bits
        self.folder = tempfile.TemporaryDirectory()
        self.db = Path(self.folder.name) / "db"
        self.recall: float | None = None
        self.found: list[list[int]] = []

    def fit(self, points: np.ndarray) -> None:
        """Loads rows of booleans, or of bytes that hold eight units each."""
        codes = self.codes(points)
        command("create", self.db, "--encoder", "none", "--code-bits", codes.shape[1] * 8)
        with scratch(codes=codes) as files:
            command("load", self.db, "--codes", files["codes"])

    def set_query_arguments(self, recall: float | None) -> None:
        """The recall to aim at; without one, answers are exact."""
        self.recall = recall

    def query(self, point: np.ndarray, k: int) -> list[int]:
        """The rows of the k nearest of one point."""
        return self.answers(point[None], k)[0]

    def batch_query(self, points: np.ndarray, k: int) -> None:
        """Answers all points and keeps the answers."""
        self.found = self.answers(points, k)

    def get_batch_results(self) -> list[list[int]]:
        """What `batch_query` found."""
        return self.found

    def done(self) -> None:
        """Removes the database."""
        self.folder.cleanup()

    def __str__(self) -> str:
        return f"hashdb(recall={self.recall or 'exact'})"

    def answers(self, points: np.ndarray, k: int) -> list[list[int]]:
        """The rows that `hashdb query` names for each point."""
        mode = (
            ["--mode", "knn"]
            if self.recall is None
            else ["--mode", "approx", "--recall", self.recall]
        )
        with scratch(codes=self.codes(points)) as files:
            lines = command("query", self.db, "--codes", files["codes"], *mode, "-k", k, "--json")
        return [
            [int(hit["key"]) for hit in json.loads(line)["neighbors"]]
            for line in lines.splitlines()
        ]

    def codes(self, points: np.ndarray) -> np.ndarray:
        """Points as bytes, filled up with zeros to a width that hashdb has; zeros add no distance."""
        codes = (
            np.packbits(points, axis=1) if points.dtype == bool else np.asarray(points, np.uint8)
        )
        wanted = (self.code_bits or -(-codes.shape[1] // 8) * 64) // 8
        return np.pad(codes, ((0, 0), (0, wanted - codes.shape[1])))

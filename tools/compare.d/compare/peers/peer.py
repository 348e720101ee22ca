"""What every measured library has to offer, and the usual way of measuring it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from .. import recall, timing
from ..dataset import DataSet
from ..task import Task
from ..timing import Measurement

# Answers of radius searches that are kept and checked; they can be long.
KEPT = 200


class Calls:
    """Calls of one task over the queries: `calls(i)` answers batch i, `ids(i)` says what it found."""

    def __init__(
        self, answer: Callable[[np.ndarray], list], queries: np.ndarray, task: Task
    ) -> None:
        self.answer, self.queries, self.batch = answer, queries, task.batch
        self.keeps_all = task.mode in ("knn", "approx")
        self.answers: dict[int, list] = {}

    def __call__(self, index: int) -> None:
        """Answers one batch."""
        answer = self.answer(self.queries[index * self.batch : (index + 1) * self.batch])
        if self.keeps_all or index < KEPT:
            self.answers[index] = answer

    def ids(self, index: int) -> list[np.ndarray]:
        """The ids found for each query of a batch that was answered."""
        return [np.asarray(ids, dtype=np.int64) for ids in self.answers[index]]


class Peer:
    """One library with one shape of index."""

    exact = True
    """Whether answers are meant to be the true ones."""
    modes: tuple[str, ...] = ("knn", "range")

    def __init__(self, **params: int | str) -> None:
        self.params = params

    def build(self, data: DataSet, folder: Path) -> None:
        """Writes the index into a folder."""
        raise NotImplementedError

    def open(self, data: DataSet, folder: Path) -> None:
        """Reads it back, in another process."""
        raise NotImplementedError

    def settings(self, task: Task) -> Iterator[dict]:
        """The settings at query time that are worth measuring."""
        yield {}

    def tune(self, task: Task, **setting: float) -> None:
        """Applies one of `settings`."""

    def knn(self, queries: np.ndarray, k: int) -> list:
        """Ids of the k nearest of each query."""
        raise NotImplementedError

    def within(self, query: np.ndarray, radius: int) -> list:
        """Ids within a radius, inclusive, of one query."""
        raise NotImplementedError

    def calls(self, queries: np.ndarray, task: Task) -> Calls:
        """The calls to be timed."""
        if task.mode in ("knn", "approx"):
            return Calls(lambda some: self.knn(some, task.size), queries, task)
        return Calls(lambda some: [self.within(some[0], task.size)], queries, task)

    def measure(self, data: DataSet, task: Task, budget: float) -> Measurement:
        """Times the calls of a task and holds what they found against the truth."""
        calls = self.calls(data.queries, task)
        one = timing.each(calls, len(data.queries) // task.batch, budget, task.batch)
        if task.mode in ("knn", "approx"):
            ids = [
                found for index in range(one.queries // task.batch) for found in calls.ids(index)
            ]
            one.recall = recall.of_nearest(data, ids, task.size)
            one.agrees = recall.nearest_agree(data, ids, task.size) if self.exact else None
        else:
            count = min(one.queries, data.known_balls, KEPT)
            ids = [calls.ids(index)[0] for index in range(count)]
            one.recall, agrees = recall.of_within(data, ids, task.size)
            one.agrees = agrees if self.exact else None
        one.checked = len(ids)
        return one

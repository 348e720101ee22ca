"""One job in a process of its own: `build` writes its index, `measure` prints a JSON line for each
task and setting.

Every measurement is bracketed by faiss' flat index in the same task on the same core: the better of
its two rates is the base of the ratio. Where the two differ much, other work disturbed the
measurement, and it is repeated.
"""

import argparse
import json
import sys
from pathlib import Path

from . import dataset, machine, peers, timing
from .dataset import DataSet
from .jobs import Job, tasks
from .peers.faiss_binary import Flat
from .peers.peer import Peer
from .task import Task

# How far the two rates of the base may be apart, and how often a measurement is tried for that.
STEADY = 1.15
TRIES = 2


def build(job: Job, into: Path) -> None:
    """Builds the index of a job."""
    peers.create(job.peer, **dict(job.params)).build(dataset.load(job.data, job.folder), into)


class Base:
    """faiss' flat index beside the measured one."""

    def __init__(self, data: DataSet, budget: float) -> None:
        self.data, self.budget = data, budget
        self.flat = Flat()
        self.flat.open(data, Path())

    def rate(self, task: Task) -> float:
        """Its queries a second in the exact counterpart of a task, on the same batches."""
        task = Task("knn", task.size, task.batch) if task.mode == "approx" else task
        calls = self.flat.calls(self.data.queries, task)
        return timing.each(calls, len(self.data.queries) // task.batch, self.budget, task.batch).qps


def measure(job: Job, budget: float) -> None:
    """Measures a job and prints its rows; a task that fails leaves a row that says why."""
    data = dataset.load(job.data, job.folder)
    peer = peers.create(job.peer, **dict(job.params))
    peer.open(data, job.index)
    base = Base(data, budget / 3)
    for task in tasks(job, peer.modes):
        if task.batch > len(data.queries):
            continue
        about = {"data": job.data, "rows": len(data.rows), "peer": job.peer, "name": job.name}
        about |= {"mode": task.mode, "size": task.size, "batch": task.batch, "task": task.name}
        try:
            for setting in peer.settings(task):
                row = steadiest(peer, base, task, setting, budget)
                print(json.dumps({**about, "setting": setting, **row}), flush=True)
        except Exception as error:  # whatever a library throws, the next task may do
            print(json.dumps({**about, "error": str(error)}), flush=True)


def steadiest(peer: Peer, base: Base, task: Task, setting: dict, budget: float) -> dict:
    """The measurement during which the base changed least."""
    best: dict | None = None
    for _ in range(TRIES):
        before = base.rate(task)
        peer.tune(task, **setting)
        one = peer.measure(base.data, task, budget)
        after = base.rate(task)
        spread = max(before, after) / min(before, after)
        rate = max(before, after)
        row = {**one.row(), "base": rate, "base_spread": spread, "ratio": one.qps / rate}
        if best is None or spread < best["base_spread"]:
            best = row
        if spread <= STEADY:
            break
    return best


def main() -> None:
    """Runs one half of a job, as `run` asks for it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("half", choices=["build", "measure"])
    parser.add_argument("data")
    parser.add_argument("folder", type=Path)
    parser.add_argument("peer")
    parser.add_argument("params", type=json.loads)
    parser.add_argument("--into", type=Path)
    parser.add_argument("--budget", type=float, default=1.0)
    given = parser.parse_args()
    job = Job(given.data, given.folder, given.peer, tuple(given.params.items()))
    machine.pin()
    if given.half == "build":
        build(job, given.into)
    else:
        measure(job, given.budget)


if __name__ == "__main__":
    sys.exit(main())

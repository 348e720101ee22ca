"""hashdb, through its own command: `load` builds, `bench` measures, `query` gives the answers."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .. import recall, timing
from ..dataset import DataSet
from ..task import Task
from ..timing import Measurement
from .peer import KEPT, Peer

# Queries that find out how many fit a budget; taken from the end, the timed ones from the beginning.
PROBES = 16
# Times that `bench` runs, each in a process that has seen no query yet; the fastest counts.
RUNS = 3
# How far the recall of the answers that are checked may be from that of all.
CONFIDENCE = 0.05
# What `bench` counts a query.
WORK = ("probes", "candidates", "distances")


class Hashdb(Peer):
    """A database on disk, opened anew by every command."""

    modes = ("knn", "range", "ball", "approx")

    def __init__(self, **params: int | str) -> None:
        super().__init__(**params)
        if self.params.get("index") == "none":
            self.modes = ("knn", "range")
        self.setting: dict = {}
        self.db = Path()

    def build(self, data: DataSet, folder: Path) -> None:
        """Loads the rows, whose keys are their numbers; loading ends with a compaction."""
        db, codes = folder / "db", data.folder / "rows.npy"
        index = ["--index", self.params["index"]] if "index" in self.params else []
        if data.is_codes:
            command("create", db, "--encoder", "none", "--code-bits", data.bits, *index)
            command("load", db, "--codes", codes)
        else:
            # Every record has a code; these are as short as codes get and are never searched.
            random = np.random.default_rng(6).integers(0, 256, (len(data.rows), 8), dtype=np.uint8)
            widths = ("--code-bits", 64, "--address-bits", data.bits)
            command("create", db, "--encoder", "none", *widths, "--index", "none")
            with scratch(codes=random) as files:
                command("load", db, "--codes", files["codes"], "--addresses", codes)

    def open(self, data: DataSet, folder: Path) -> None:
        """Names the database."""
        self.db = folder / "db"

    def settings(self, task: Task) -> Iterator[dict]:
        """Recall targets and numbers of lists of the approximate mode."""
        if task.mode != "approx":
            yield {}
            return
        for target in (0.8, 0.9, 0.95, 0.98, 0.99):
            yield {"recall": target}
        for lists in (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192):
            yield {"probes": lists}

    def tune(self, task: Task, **setting: float) -> None:
        """Keeps the setting for the command line."""
        self.setting = setting

    def measure(self, data: DataSet, task: Task, budget: float) -> Measurement:
        """Runs `bench` on as many queries as the budget allows, then checks the answers."""
        total = len(data.queries)
        probe = self.bench(data, task, slice(max(0, total - max(PROBES, task.batch)), total))
        micros = task.batch * 1e6 / probe["qps"]
        calls = timing.affordable(micros, budget / RUNS, total // task.batch, task.batch)
        runs = [self.bench(data, task, slice(0, calls * task.batch)) for _ in range(RUNS)]
        run = max(runs, key=lambda run: run["qps"])
        one = Measurement(run["queries"], run["qps"], run["p50_micros"], run["p99_micros"])
        one.plans = run["plans"]
        one.work = {name: run[f"{name}_mean"] for name in WORK if run.get(f"{name}_mean")}
        self.check(data, task, one)
        if task.mode in ("knn", "approx"):
            self.agree(one, run["recall"], task)
        return one

    @staticmethod
    def agree(one: Measurement, recall: float, task: Task) -> None:
        """Takes in what `bench` says of all its queries, which must not contradict the checked ones."""
        if abs(recall - one.recall) > CONFIDENCE:
            raise RuntimeError(f"bench says recall {recall}, its answers {one.recall}")
        one.recall = recall
        if task.mode == "knn":
            one.agrees = one.agrees and recall == 1.0

    def bench(self, data: DataSet, task: Task, part: slice) -> dict:
        """One run of `hashdb bench`."""
        arrays = {"queries": np.ascontiguousarray(data.queries[part])}
        if task.mode in ("knn", "approx"):
            arrays["truth"] = np.ascontiguousarray(data.nearest[part, : task.size])
        with scratch(**arrays) as files:
            arguments = ["--queries", files["queries"], *self.asked(task), "--threads", 1]
            if "truth" in files:
                arguments += ["--truth", files["truth"]]
            if task.batch > 1:
                arguments += ["--batch", task.batch]
            return json.loads(command("bench", self.db, *arguments, "--json"))

    def check(self, data: DataSet, task: Task, one: Measurement) -> None:
        """Holds the answers of `hashdb query` against the truth."""
        known = len(data.nearest) if task.mode in ("knn", "approx") else data.known_balls
        one.checked = min(known, KEPT)
        with scratch(codes=np.ascontiguousarray(data.queries[: one.checked])) as files:
            lines = command(
                "query", self.db, "--codes", files["codes"], *self.asked(task), "--json"
            )
        answers = [json.loads(line)["neighbors"] for line in lines.splitlines()]
        if len(answers) != one.checked:
            raise RuntimeError(f"{len(answers)} answers to {one.checked} queries")
        ids = [np.array([int(hit["key"]) for hit in answer], np.int64) for answer in answers]
        if task.mode in ("knn", "approx"):
            one.recall = recall.of_nearest(data, ids, task.size)
            one.agrees = recall.nearest_agree(data, ids, task.size) if task.mode == "knn" else None
        else:
            one.recall, one.agrees = recall.of_within(data, ids, task.size)

    def asked(self, task: Task) -> list:
        """The arguments that say what is asked."""
        size = ["-k", task.size] if task.mode in ("knn", "approx") else ["--radius", task.size]
        effort = [part for name, value in self.setting.items() for part in (f"--{name}", value)]
        return ["--mode", task.mode, *size, *effort]


class scratch:  # noqa: N801, a context manager that reads like a function
    """Arrays as .npy files for as long as a command needs them."""

    def __init__(self, **arrays: np.ndarray) -> None:
        self.folder = tempfile.TemporaryDirectory(dir=os.environ["HASHDB_COMPARE_CACHE"])
        self.files = {name: Path(self.folder.name) / f"{name}.npy" for name in arrays}
        for name, array in arrays.items():
            np.save(self.files[name], array)

    def __enter__(self) -> dict[str, Path]:
        return self.files

    def __exit__(self, *_: object) -> None:
        self.folder.cleanup()


def command(*arguments: object) -> str:
    """Runs hashdb; returns what it printed, or fails with what it complained about."""
    line = [os.environ["HASHDB_COMMAND"], *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode != 0:
        cause = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(f"hashdb {arguments[0]}: {cause[0]}")
    return done.stdout

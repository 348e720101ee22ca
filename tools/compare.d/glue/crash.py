"""Killing loads: a store that holds half of the records gets the other half, in one load or in batches,
and the process is killed with SIGKILL at a random moment.

What is left is opened and compared with what it may be. SIGKILL loses no write that the kernel has taken,
so this says nothing about power cuts (`tools/torture --row power` does, for hashdb).
"""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, sleep

from .agreement import holds
from .contenders import Contender, hashdb, load_line
from .material import Part
from .store import DriftError, Glue, NamedGlue
from .timing import child_line

OUTCOMES = ("old", "new", "drift", "torn", "lost", "wrong")
SOUND = ("old", "new")
# A load that ends before its kill is done again with an earlier one, this often for each that is wanted.
TRIES = 5
# Loads that say how long one takes; the slowest counts, since a kill that comes too late is done again and
# one that comes too early never meets the end.
RUNS = 2


@dataclass
class Crashes:
    """What the kills of one kind of load left."""

    contender: str
    batches: int
    """Parts of the load, each durable before the next."""
    seconds: float = 0.0
    """The load undisturbed, the slower of two."""
    gap: float = 0.0
    """Seconds of it, at most, in which a kill leaves the two stores apart."""
    outcomes: Counter = field(default_factory=Counter)

    def row(self) -> dict:
        """For --json."""
        outcomes = {outcome: self.outcomes[outcome] for outcome in OUTCOMES}
        about = {"contender": self.contender, "batches": self.batches}
        times = {"seconds": self.seconds, "gap_seconds": self.gap}
        return about | times | {"kills": self.outcomes.total()} | outcomes


class Bench:
    """A store with the first half in it, of which each kill gets a copy."""

    def __init__(self, one: Contender, folder: Path, whole: Part, first: Part, rest: list[Part]):
        self.one, self.folder, self.whole = one, folder, whole
        self.base, self.copy = folder / "base", folder / "copy"
        folder.mkdir(parents=True)
        ends = [len(first.codes)]
        for part in rest:
            ends.append(ends[-1] + len(part.codes))
        finish(start(one, self.base, [first]))
        self.states = self.digests(rest) if one.is_hashdb else ends

    def digests(self, rest: list[Part]) -> list[str]:
        """What the database is after each part."""
        self.renew()
        found = [digest(self.copy)]
        for part in rest:
            subprocess.run(load_line(self.one, self.copy, part), check=True, capture_output=True)
            found.append(digest(self.copy))
        return found

    def renew(self) -> None:
        """Makes the copy anew."""
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.base, self.copy)

    def kill(self, parts: list[Part], states: list, kills: int, draw: random.Random) -> Crashes:
        """Kills a load of the parts at random moments and judges what each leaves."""
        found = Crashes(self.one.name, len(parts))
        found.seconds, found.gap = max(self.undisturbed(parts) for _ in range(RUNS))
        if self.state(states) != len(parts):
            raise RuntimeError(f"{self.one.name}: an undisturbed load is not whole")
        span = found.seconds
        for _ in range(TRIES * kills):
            if found.outcomes.total() == kills:
                break
            self.renew()
            process = start(self.one, self.copy, parts)
            moment = draw.uniform(0, span)
            acknowledged = killed(process, moment)
            if acknowledged is None:
                span = moment
            else:
                found.outcomes[outcome(self.state(states), acknowledged)] += 1
        return found

    def undisturbed(self, parts: list[Part]) -> tuple[float, float]:
        """Seconds and gap of a load that nobody kills."""
        self.renew()
        return finish(start(self.one, self.copy, parts))

    def state(self, states: list) -> int | str:
        """Which of the states the copy is in, or what is wrong with it."""
        try:
            of = database_state if self.one.is_hashdb else self.glue_state
            return of(self.copy, states)
        except DriftError:
            return "drift"

    def glue_state(self, folder: Path, states: list[int]) -> int | str:
        """Of the glue, by every row and vector."""
        try:
            store = (NamedGlue if self.one.name == "glue-named" else Glue)(folder)
            (verdict,) = store.db.execute("pragma quick_check(1)").fetchone()
            count = store.index.ntotal
            right = count in states and holds(store, self.whole, count)
            store.close()
        except (RuntimeError, sqlite3.DatabaseError):  # what faiss throws, and SQLite
            return "torn"
        if verdict != "ok":
            return "torn"
        return states.index(count) if right else "wrong"


def database_state(folder: Path, states: list[str]) -> int | str:
    """Of hashdb, by its check of every byte and its digest of all records."""
    try:
        clean = hashdb("check", folder)[0]["clean"]
        found = digest(folder)
    except RuntimeError:
        return "torn"
    if not clean:
        return "torn"
    return states.index(found) if found in states else "wrong"


def outcome(state: int | str, acknowledged: int) -> str:
    """What a state means after so many parts were said to be durable."""
    if isinstance(state, str):
        return state
    if state < acknowledged:
        return "lost"
    return {0: "old", 1: "new"}.get(state - acknowledged, "wrong")


def digest(folder: Path) -> str:
    """The hash of all records of a database."""
    return hashdb("stats", folder, "--digest", "--progress", "none")[0]["digest"]


def start(one: Contender, folder: Path, parts: list[Part]) -> subprocess.Popen:
    """Starts a load; returns when it begins."""
    line = child_line(one, folder, parts)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(line, start_new_session=True, **pipes)
    if not process.stdout.readline().startswith("begin"):
        raise RuntimeError(f"{one.name}: {process.stderr.read()}")
    return process


def finish(process: subprocess.Popen) -> tuple[float, float]:
    """Lets a load run to its end; its seconds and its gap."""
    begin = perf_counter()
    with process:
        words = [line.split() for line in process.stdout]
        seconds = perf_counter() - begin
        complaint = process.stderr.read()
    if process.returncode != 0:
        raise RuntimeError(f"a load failed: {complaint}")
    return seconds, sum(float(rest[0]) for word, *rest in words if word == "durable")


def killed(process: subprocess.Popen, moment: float) -> int | None:
    """Kills a load, and what it started, after some seconds; how many parts it had said to be durable,
    None if it was done."""
    sleep(moment)
    os.killpg(process.pid, signal.SIGKILL)
    with process:
        said = process.stdout.read().split()
        complaint = process.stderr.read()  # ends when every process that was killed has ended
    if process.returncode > 0:
        raise RuntimeError(f"a load failed before its kill: {complaint}")
    return None if "done" in said else said.count("durable")

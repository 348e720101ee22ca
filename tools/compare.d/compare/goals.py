"""The goals of the query engine and how far they were reached in this run."""

import re
from dataclasses import dataclass

from . import rows as table
from .dataset import SOURCES, label
from .ratios import Ratio
from .rows import Row

INDEXED, PLAIN, FLAT = "hashdb", "hashdb index=none", "faiss-flat"
RIVALS = ("faiss-ivf", "faiss-hnsw", "usearch")
# Lines of the benches, as "what over baseline".
SEQUENTIAL = re.compile(r"nearest of 1\d{7} codes.* k = 10 over sequential read")
OVERHEAD = re.compile(r"overhead 1\d{7} rows, k = 10: API over bare")


@dataclass(frozen=True)
class Goal:
    """One goal: what, how much of it over whom, the measured ratio and how it came about."""

    what: str
    wanted: float
    than: str
    measured: float | None
    how: str = ""
    judged: bool = True
    """Whether the data have the size that the goal is set for."""
    absent: str = "not measured in this run"

    @property
    def goal(self) -> str:
        """The goal in words."""
        return f"{self.wanted:g} times {self.than}"

    @property
    def figure(self) -> str:
        """The measured ratio."""
        return "" if self.measured is None else f"{self.measured:.3g}"

    @property
    def verdict(self) -> str:
        """Reached, or missed by how much."""
        if self.measured is None:
            return self.absent
        if not self.judged:
            return "set for another size"
        share = self.measured / self.wanted
        return (
            f"reached, {share:.2f} times the goal"
            if share >= 1
            else f"**missed by {1 - share:.0%}**"
        )


def all_of(rows: list[Row], ratios: list[Ratio]) -> list[Goal]:
    """The goals in the order of their table."""
    return [
        *scans(rows),
        *balls(rows),
        *radius(rows),
        *approximate(rows),
        pruned(rows),
        *benched(ratios),
    ]


def of_row(what: str, wanted: float, than: str, row: Row | None, measured: float | None) -> Goal:
    """A goal that a row of this run decides."""
    if row is None:
        return Goal(what, wanted, than, None)
    name = row["data"]
    judged = row["rows"] == SOURCES[name].rows
    return Goal(f"{what}, {label(name, row['rows'])}", wanted, than, measured, how(row), judged)


def how(row: Row) -> str:
    """The plans that hashdb took and what it did for a query."""
    work = [f"{count:,.0f} {what}" for what, count in row["work"].items()]
    return ", ".join([*sorted(row["plans"]), *work])


def over(measured: Row | None, other: Row | None) -> float | None:
    """Speed over another library. Each row is a ratio to the flat scan right beside it, so that the
    quotient holds although the two were not measured at the same moment."""
    return measured["ratio"] / other["ratio"] if measured and other else None


def scans(rows: list[Row]) -> list[Goal]:
    """Exact k nearest by the scan, single and in batches, against that of faiss."""
    goals = []
    for batch, wanted in ((1, 1.2), (64, 4), (1000, 4)):
        row = table.of(rows, "smooth", PLAIN, "knn", 10, batch)
        calls = "one query a call" if batch == 1 else f"batches of {batch}"
        what = f"exact k = 10 by scan, {calls}"
        goals.append(of_row(what, wanted, "faiss flat", row, row and row["ratio"]))
    return goals


def balls(rows: list[Row]) -> list[Goal]:
    """Balls of addresses against faiss' hash table."""
    goals = []
    for data in ("uniform28", "clustered28"):
        for radius, wanted in ((3, 50), (5, 100)):
            names = (INDEXED, "faiss-hash b=28")
            row, other = (table.of(rows, data, name, "ball", radius) for name in names)
            what = f"ball of radius {radius}"
            goals.append(of_row(what, wanted, "faiss Hash", row, over(row, other)))
    return goals


def radius(rows: list[Row]) -> list[Goal]:
    """The exact radius search among planted neighbours."""
    row = table.of(rows, "planted", INDEXED, "range", 31)
    other = table.of(rows, "planted", "faiss-multihash nhash=16 b=16", "range", 31)
    return [
        of_row("exact radius 31", 200, "faiss flat", row, row and row["ratio"]),
        of_row("exact radius 31", 100, "faiss MultiHash", row, over(row, other)),
    ]


def approximate(rows: list[Row]) -> list[Goal]:
    """The approximate k nearest against the best of three libraries at the same recall."""
    goals = []
    for recall in (0.95, 0.99):
        row = table.at_recall(rows, "smooth", "hashdb", recall)
        rivals = filter(None, (table.at_recall(rows, "smooth", peer, recall) for peer in RIVALS))
        best = max(rivals, key=lambda rival: rival["ratio"], default=None)
        than = "the best of IVF, HNSW, usearch" + (f" ({best['name']})" if best else "")
        goals.append(
            of_row(f"approximate k = 10 at recall {recall}", 1.5, than, row, over(row, best))
        )
    return goals


def pruned(rows: list[Row]) -> Goal:
    """Exact k nearest on clustered data against hashdb's own scan of the same data."""
    row, scan = (table.of(rows, "mixture", name, "knn", 10) for name in (INDEXED, PLAIN))
    return of_row("exact k = 10 by pruning", 15, "hashdb's scan", row, over(row, scan))


def benched(ratios: list[Ratio]) -> list[Goal]:
    """What only hashdb's own benches can tell, since the comparison is with parts of hashdb."""
    wanted = (
        ("exact k = 10 by scan, 10M", 0.95, "the sequential read", SEQUENTIAL),
        ("ball of radius 3 or 5, 10M", 0.5, "the prototype", re.compile("prototype")),
        ("exact k = 10 through the public API, 10M", 0.87, "the bare kernel", OVERHEAD),
    )
    goals = []
    for what, goal, than, pattern in wanted:
        found = [one for one in ratios if pattern.search(f"{one.what} over {one.baseline}")]
        worst = min(found, key=lambda one: one.ratio, default=None)
        how = f"{worst.time}, by a bench" if worst else ""
        absent = "see the benches in docs/results.md"
        goals.append(Goal(what, goal, than, worst and worst.ratio, how, absent=absent))
    return goals

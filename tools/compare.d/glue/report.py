"""What a run says: two tables in Markdown with what they mean, or one JSON object."""

import importlib.metadata
import platform
import sqlite3
from dataclasses import dataclass, field

from compare import arguments, machine
from compare.report import markdown

from . import contenders
from .crash import OUTCOMES, Crashes
from .timing import Load, median

MIB = 2**20
MEANING = """\
What each means to who uses it. *Old*: what was acknowledged is there and nothing else; the load is run
again. *New*: the load that was killed is there as a whole, only the word of it did not come. *Drift*: the
index and the rows are of different loads; this glue compares their counts when it opens and refuses, and
nobody can search until somebody has cut back what is too much by hand; a glue that does not compare them
goes on, and finds ids without rows or, after the next load, the rows of other vectors. *Torn*: a file
cannot be read, or `hashdb check` finds damage. *Lost*: something acknowledged is gone. *Wrong*: none of
these states. The gap is the share of the undisturbed load, at most, in which a kill causes drift; where
one commit covers everything there is none."""


@dataclass
class Found:
    """All that a run found."""

    given: dict
    busy: float
    """Processes that wanted a core when it began."""
    agreement: str
    loads: dict[str, list[Load]] = field(default_factory=dict)
    crashes: list[Crashes] = field(default_factory=list)

    def medians(self) -> dict[str, Load]:
        """Of each contender."""
        return {name: median(loads) for name, loads in self.loads.items()}

    def row(self) -> dict:
        """For --json."""
        about = {"date": machine.today(), "machine": machine.processor(), "versions": versions()}
        about |= {
            "hashdb": machine.revision(),
            "busy": self.busy,
            "agreement": self.agreement,
            **self.given,
        }
        loads = {
            name: {"median": load.row(), "ratios": self.ratios(name), "all": self.all_of(name)}
            for name, load in self.medians().items()
        }
        return about | {"loads": loads, "crashes": [crash.row() for crash in self.crashes]}

    def all_of(self, name: str) -> list[dict]:
        """Every load of a contender."""
        return [load.row() for load in self.loads[name]]

    def ratios(self, name: str) -> dict[str, float]:
        """Rate, processor time, memory and bytes over those of the glue."""
        medians = self.medians()
        one, glue = medians[name], medians[contenders.GLUE.name]
        ratios = {"rate": glue.seconds / one.seconds}
        for figure in ("processor", "peak", "disk"):
            ratios[figure] = getattr(one, figure) / getattr(glue, figure)
        return ratios


def text(found: Found) -> str:
    """The report as a part of a document."""
    given = found.given
    parts = [
        f"`{arguments.command_line()}`, {machine.today()}, hashdb {machine.revision()}, load "
        f"{found.busy:.0f} at the beginning.\n{machine.processor()}.\n{versions()}.",
        found.agreement,
        f"{given['rows']:,} records, medians of {given['repeats']} loads in turn:",
        load_table(found),
    ]
    if found.crashes:
        parts += [
            f"{given['rows'] // 2:,} records added to as many, {given['kills']} kills each; batches "
            f"are of {given['batch']:,}:",
            crash_table(found.crashes),
            MEANING,
        ]
    return "\n\n".join(parts)


def load_table(found: Found) -> str:
    """One line for each contender."""
    rows = found.given["rows"]
    lines = []
    for name, load in found.medians().items():
        ratios = found.ratios(name)
        rates = sorted(rows / one.seconds for one in found.loads[name])
        lines.append(
            [
                f"`{name}`: {contenders.named(name).about}",
                f"{rows / load.seconds:,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f})",
                f"{ratios['rate']:.2f}",
                f"{load.processor:.2f}",
                f"{ratios['processor']:.2f}",
                f"{load.peak / MIB:,.0f}",
                f"{ratios['peak']:.2f}",
                f"{load.disk / rows:,.0f}",
                f"{ratios['disk']:.2f}",
            ]
        )
    header = ["store", ">records/s", ">ratio", ">processor s", ">ratio", ">peak MiB", ">ratio"]
    return markdown([*header, ">bytes/record on disk", ">ratio"], lines)


def crash_table(crashes: list[Crashes]) -> str:
    """One line for each contender and kind of load."""
    lines = [
        [
            f"`{crash.contender}`",
            "one" if crash.batches == 1 else f"{crash.batches} batches",
            f"{crash.seconds:.2f}",
            f"{crash.gap / crash.seconds:.1%}" if crash.gap else "none",
            str(crash.outcomes.total()),
            *(str(crash.outcomes[outcome]) for outcome in OUTCOMES),
        ]
        for crash in crashes
    ]
    header = ["store", "load", ">seconds", ">gap", ">kills"]
    return markdown([*header, *(f">{outcome}" for outcome in OUTCOMES)], lines)


def versions() -> str:
    """Python and the libraries of the glue."""
    faiss = importlib.metadata.version("faiss-cpu")
    return f"Python {platform.python_version()}, faiss-cpu {faiss}, SQLite {sqlite3.sqlite_version}"

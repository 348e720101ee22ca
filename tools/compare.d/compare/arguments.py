"""The command line of `tools/compare`, whose head tells the user what the options are."""

import argparse
import os
from pathlib import Path

from . import cache
from .dataset import MILLION, SOURCES
from .peers import NAMES

DOCS = Path(__file__).resolve().parents[3] / "docs"
QUICK_ROWS = 100_000
QUICK_QUERIES = 1_000
REAL = tuple(name for name, source in SOURCES.items() if source.rows is None)


def listed(known: tuple[str, ...]):
    """A type for comma-separated names out of a list."""

    def read(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(known)}")
        return names

    return read


def size(text: str) -> int:
    """A number of rows, with k or M behind it where that is shorter."""
    unit = {"k": 1000, "M": MILLION}.get(text[-1:], 1)
    rows = int(text.rstrip("kM")) * unit
    if rows < 1000:
        raise argparse.ArgumentTypeError("at least 1000 rows")
    return rows


def parse() -> argparse.Namespace:
    """Reads the arguments and fills in what depends on others."""
    parser = argparse.ArgumentParser(prog="tools/compare", add_help=False)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", type=listed(NAMES), default=[], metavar="PEER[,..]")
    parser.add_argument("--sets", type=listed(tuple(SOURCES)), metavar="SET[,..]")
    parser.add_argument("--rows", type=size, metavar="N")
    parser.add_argument("--seconds", type=float, metavar="S")
    parser.add_argument("--benches", nargs="?", const="run", metavar="FILE")
    parser.add_argument("--out", type=Path, metavar="DIR")
    parser.add_argument("--build-only", action="store_true")
    given = parser.parse_args()
    whole = not (given.quick or given.only or given.sets or given.rows or given.build_only)
    given.sets = given.sets or [name for name in SOURCES if not (given.quick and name in REAL)]
    given.seconds = given.seconds or (0.3 if given.quick else 1.5)
    given.out = given.out or (DOCS if whole else cache.folder_of("results", "part"))
    return given


def rows_of(given: argparse.Namespace) -> dict[str, int | None]:
    """Rows of each data set."""
    quick = QUICK_ROWS if given.quick else None
    return {
        name: source.rows and (given.rows or quick or source.rows)
        for name, source in SOURCES.items()
    }


def queries_of(given: argparse.Namespace) -> int | None:
    """Queries of each data set, where they are not its own."""
    return QUICK_QUERIES if given.quick else None


def command_line() -> str:
    """What was typed, to be repeated in a document."""
    return os.environ.get("HASHDB_COMPARE_COMMAND", "tools/compare")

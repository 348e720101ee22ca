"""What hashdb's own benches print: lines of the form
`RATIO work: runner 1.2ms, 3.40 times baseline`."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

BENCHES = ("hamming", "index", "radius", "clusters", "engine")
LINE = re.compile(
    r"RATIO (?P<work>.+): (?P<runner>.+) (?P<time>[\d.]+\S+), "
    r"(?P<ratio>[\d.]+) times (?P<baseline>.+)"
)


@dataclass(frozen=True)
class Ratio:
    """The speed of one runner over a baseline on the same work in the same run."""

    work: str
    runner: str
    time: str
    ratio: float
    baseline: str


def parsed(text: str) -> list[Ratio]:
    """The ratios in the output of benches."""
    found = (LINE.search(line) for line in text.splitlines())
    return [Ratio(**{**one.groupdict(), "ratio": float(one["ratio"])}) for one in found if one]


def of(choice: str | None) -> list[Ratio]:
    """The ratios that `--benches` asks for: none, those in a file, or those of a run."""
    if choice is None:
        return []
    if choice != "run":
        return parsed(Path(choice).read_text())
    names = [part for name in BENCHES for part in ("--bench", name)]
    line = ["cargo", "bench", "--locked", "--features", "__internals", "--profile", "dev", *names]
    root = Path(__file__).resolve().parents[3]
    return parsed(
        subprocess.run(line, cwd=root, stdout=subprocess.PIPE, text=True, check=True).stdout
    )

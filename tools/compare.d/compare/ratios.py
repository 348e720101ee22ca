"""What hashdb's own benches print: lines of the form
`RATIO work: runner 1.2ms, 3.40 times baseline`."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

BENCHES = ("hamming", "index", "radius", "clusters", "engine")
LINE = re.compile(
    r"RATIO (?P<what>.+) (?P<time>[\d.]+(ns|µs|us|ms|s)), "
    r"(?P<ratio>[\d.]+) times (?P<baseline>[^(]+)"
)


@dataclass(frozen=True)
class Ratio:
    """The speed of one runner over a baseline on the same work in the same run."""

    what: str
    time: str
    ratio: float
    baseline: str


def parsed(text: str) -> list[Ratio]:
    """The ratios in the output of benches."""
    found = filter(None, map(LINE.search, text.splitlines()))
    return [
        Ratio(one["what"], one["time"], float(one["ratio"]), one["baseline"].strip())
        for one in found
    ]


def of(choice: str | None) -> list[Ratio]:
    """The ratios that `--benches` asks for: none, those in a file, or those of a run."""
    if choice is None:
        return []
    if choice != "run":
        return parsed(Path(choice).read_text())
    root = Path(__file__).resolve().parents[3]
    there = [name for name in BENCHES if (root / "benches" / f"{name}.rs").exists()]
    names = [part for name in there for part in ("--bench", name)]
    line = ["cargo", "bench", "--locked", "--features", "__internals", "--profile", "dev", *names]
    return parsed(
        subprocess.run(line, cwd=root, stdout=subprocess.PIPE, text=True, check=True).stdout
    )

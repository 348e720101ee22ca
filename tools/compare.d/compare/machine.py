"""The machine, the versions and the clock of a run; and keeping a process on one core."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

LIBRARIES = ("numpy", "faiss-cpu", "usearch", "sqlite-vec", "lancedb", "duckdb")
# What the libraries' threads go by; faiss obeys the first.
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "TOKIO_WORKER_THREADS",
    "LANCE_CPU_THREADS",
)


def pin() -> None:
    """Keeps this process, and all it starts, on the last core it may use, as taskset does."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def one_thread() -> dict[str, str]:
    """The environment of a process that measures with one thread."""
    return {**os.environ, **dict.fromkeys(THREADS, "1")}


def processor() -> str:
    """Name of the processor and what it has for popcounts."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    flags = facts.get("flags", "").split()
    kernels = [flag for flag in ("avx2", "avx512f", "avx512_vpopcntdq") if flag in flags]
    model = facts.get("model name", platform.machine())
    family = f"family {facts.get('cpu family', '?')} model {facts.get('model', '?')}"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model} ({family}; {', '.join(kernels)}), {os.cpu_count()} cores, {memory:.0f} GiB"


def versions() -> str:
    """The libraries with their versions."""
    listed = [f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES]
    return ", ".join([f"Python {platform.python_version()}", *listed])


def revision() -> str:
    """The commit of hashdb, and whether the tree departs from it."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=here, capture_output=True, text=True
        ).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", ":/src", ":/tools/hashdb")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with changes" if changed else "")


def today() -> str:
    """The date in UTC."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")


def load() -> float:
    """Processes that wanted a core in the last minute."""
    return os.getloadavg()[0]

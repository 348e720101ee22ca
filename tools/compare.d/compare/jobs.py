"""Which library is measured on which data set, with what shape of index, and by what tasks."""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import cache
from .dataset import SOURCES, K
from .task import Task

MILLION = 1_000_000

NEAREST = (Task("knn", K), Task("knn", K, 64), Task("knn", K, 1000))
APPROXIMATE = (Task("approx", K),)
RADIUS = (Task("range", 31),)
BALLS = (Task("ball", 3), Task("ball", 5))

TASKS = {
    "mixture": NEAREST + APPROXIMATE + RADIUS,
    "smooth": NEAREST + APPROXIMATE + RADIUS,
    "planted": (Task("knn", K), *RADIUS),
    "uniform28": BALLS,
    "clustered28": BALLS,
    "pictures": NEAREST + APPROXIMATE + RADIUS,
    "pdq": (Task("knn", K), *RADIUS),
}

# The largest batch that a library is asked in one call; those that are absent answer a batch one
# query after the other, and so does faiss, which the smaller one is enough to show.
LARGEST_BATCH = {"hashdb": 1000, "faiss-flat": 64}

GRAPH = {"M": 16, "efConstruction": 128}
MULTIHASH = {"nhash": 16, "b": 16}


@dataclass(frozen=True)
class Job:
    """One library with one shape of index on one data set."""

    data: str
    folder: Path
    """Of the prepared data set."""
    peer: str
    params: tuple[tuple[str, int | str], ...] = ()

    @property
    def name(self) -> str:
        """The library and its shape, as tables print it."""
        return " ".join([self.peer, *(f"{key}={value}" for key, value in self.params)])

    @property
    def index(self) -> Path:
        """Where the index is kept. hashdb's is not used by another build of the command."""
        name = f"{self.folder.name}-{self.name}".replace(" ", "-").replace("=", "")
        if self.peer == "hashdb":
            name += f"@{build_of(os.environ['HASHDB_COMMAND'])}"
        return cache.folder_of("indexes", name)

    def forget_other_builds(self) -> None:
        """Removes what other builds of the command have left."""
        for other in self.index.parent.glob(self.index.name.split("@")[0] + "@*"):
            if other != self.index:
                shutil.rmtree(other)


def build_of(command: str) -> str:
    """A short name for a build of the command: another one may lay out its files otherwise."""
    return hashlib.sha256(Path(command).read_bytes()).hexdigest()[:12]


def jobs(data: str, folder: Path, rows: int) -> list[Job]:
    """The jobs on one data set, the base first."""

    def job(peer: str, **params: int | str) -> Job:
        return Job(data, folder, peer, tuple(params.items()))

    base = [job("hashdb"), job("faiss-flat")]
    if any(task.mode == "knn" for task in TASKS[data]) and data != "planted":
        base.insert(1, job("hashdb", index="none"))
    if not any(task.mode != "ball" for task in TASKS[data]):
        return [*base, job("faiss-hash", b=28)]
    if data == "planted":
        return [*base, job("faiss-multihash", **MULTIHASH)]
    scans = [job("faiss-multihash", **MULTIHASH), job("sqlite-vec"), job("lancedb"), job("duckdb")]
    if SOURCES[data].rows is None and rows < 10_000:
        return base + scans
    lists = (1024, 4096) if rows >= MILLION else (256, 1024)
    inverted = [job("faiss-ivf", nlist=nlist) for nlist in lists]
    graphs = [job("faiss-hnsw", **GRAPH), job("usearch", **GRAPH)]
    return base + inverted + graphs + scans + [job("lancedb", nlist=lists[0])]


def tasks(job: Job, modes: tuple[str, ...]) -> list[Task]:
    """What one library is asked on its data set."""
    largest = LARGEST_BATCH.get(job.peer, 1)
    return [task for task in TASKS[job.data] if task.mode in modes and task.batch <= largest]

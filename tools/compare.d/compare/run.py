"""A whole run: prepares data and indexes, then measures job after job."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from . import cache, dataset, machine, realdata
from .jobs import Job, jobs

# No single build or measurement takes longer, in seconds, on a machine that is fit for it.
LIMIT = 1800


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def prepared(
    names: list[str], rows: dict[str, int | None], queries: int | None, only: list[str]
) -> list[Job]:
    """The jobs of a run, with the data sets that they need."""
    wanted: list[Job] = []
    for name in names:
        cause = realdata.missing(name)
        if cause:
            say(f"SKIPPED data set {name}: {cause}; HASHDB_TEST_DATA can say where it is")
            continue
        folder = dataset.prepare(name, rows[name], queries)
        count = json.loads((folder / "about.json").read_text())["rows"]
        wanted += [job for job in jobs(name, folder, count) if not only or job.peer in only]
    return wanted


def built(job: Job) -> dict | None:
    """Builds the index of a job unless it is cached; what is known of the building, or None."""

    def make(into: Path) -> dict:
        start, before = time.perf_counter(), processor_seconds()
        worker("build", job, "--into", str(into))
        seconds = time.perf_counter() - start
        worked = processor_seconds() - before
        return {"seconds": seconds, "worked": worked, "bytes": cache.bytes_in(into)}

    try:
        if job.peer == "hashdb":
            job.forget_other_builds()
        about = cache.made(job.index, make)
    except subprocess.CalledProcessError as error:
        say(f"FAILED to build {job.name} on {job.data}: {last_line(error.stderr)}")
        return None
    say(f"{job.data}: {job.name} built in {about['seconds']:.1f} s")
    return about


def measured(job: Job, budget: float) -> list[dict]:
    """The rows of a job; where it fails, one that says so."""
    start = time.perf_counter()
    try:
        rows = [
            json.loads(line)
            for line in worker("measure", job, "--budget", str(budget)).splitlines()
        ]
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        text = last_line(getattr(error, "stderr", None) or str(error))
        say(f"FAILED to measure {job.name} on {job.data}: {text}")
        return [
            {
                "data": job.data,
                "peer": job.peer,
                "name": job.name,
                "task": "any task",
                "error": text,
            }
        ]
    seconds = time.perf_counter() - start
    say(
        f"{job.data}: {job.name}, {len(rows)} measurements in {seconds:.1f} s, load {machine.load():.1f}"
    )
    for row in rows:
        if "error" in row:
            say(f"FAILED: {job.name} on {job.data}, {row['task']}: {row['error']}")
        elif row["agrees"] is False:
            say(f"WRONG: {job.name} on {job.data}, {row['task']}: answers differ from the truth")
    return rows


def worker(half: str, job: Job, *more: str) -> str:
    """Runs one half of a job in a process of its own."""
    line = [sys.executable, "-m", "compare.worker", half, job.data, str(job.folder), job.peer]
    line += [json.dumps(dict(job.params)), *more]
    how = {"env": machine.one_thread(), "capture_output": True, "text": True}
    return subprocess.run(line, check=True, timeout=LIMIT, **how).stdout


def processor_seconds() -> float:
    """What the processes that were waited for have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def last_line(text: str | bytes) -> str:
    """The end of a Python traceback: its cause."""
    text = text.decode() if isinstance(text, bytes) else text
    return (text.strip().splitlines() or ["no reason given"])[-1]

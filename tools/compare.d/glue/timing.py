"""Timing a load that runs in a process of its own: seconds, processor seconds, memory, bytes on disk."""

import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

from compare.cache import bytes_in

from .contenders import Contender, load_line
from .material import Part

# Seconds between two looks at a process' peak of memory, which never falls.
LOOK = 0.005


@dataclass
class Load:
    """One load, or the median of several."""

    seconds: float
    processor: float
    peak: int
    """Most bytes of memory, the pages of mapped input among them."""
    disk: int
    gap: float
    """Seconds of it, at most, in which a crash leaves the two stores apart."""

    def row(self) -> dict:
        """For --json."""
        return asdict(self)


def child_line(one: Contender, folder: Path, parts: list[Part]) -> list[str]:
    """The command of a load in a process of its own, which says how far it is."""
    return [sys.executable, "-m", "glue.child", one.name, str(folder)] + [
        str(part.folder) for part in parts
    ]


def load(one: Contender, folder: Path, part: Part) -> Load:
    """Loads a part into a new store.

    The glue's time begins when Python has started and read its libraries; hashdb's is that of the whole
    process.
    """
    shutil.rmtree(folder, ignore_errors=True)
    os.sync()
    line = load_line(one, folder, part) if one.is_hashdb else child_line(one, folder, [part])
    begin = perf_counter()
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak: list[int] = [0]
    watcher = threading.Thread(target=watch, args=(process.pid, peak))
    watcher.start()
    own, gap = 0.0, 0.0
    with process:
        for text in process.stdout:
            word, *rest = text.split()
            if word == "begin":
                begin, own = perf_counter(), float(rest[0])
            elif word == "durable":
                gap += float(rest[0])
        complaint = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        seconds = perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
    watcher.join()
    if process.returncode != 0:
        raise RuntimeError(f"{one.name}: the load failed: {complaint}")
    worked = used.ru_utime + used.ru_stime - own
    return Load(seconds, worked, peak[0], bytes_in(folder), gap)


def watch(pid: int, peak: list[int]) -> None:
    """Keeps the peak of a process' memory up to date until it ends.

    Not what wait4 says: that begins with the memory of the process that it was forked from.
    """
    done = threading.Event()
    while True:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        if not found:  # it has ended
            return
        peak[0] = max(peak[0], int(found[1]) * 1024)
        done.wait(LOOK)


def median(loads: list[Load]) -> Load:
    """The median of each figure."""
    figures = [asdict(load) for load in loads]
    return Load(
        **{name: statistics.median(figure[name] for figure in figures) for name in figures[0]}
    )

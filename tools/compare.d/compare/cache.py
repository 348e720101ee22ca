"""Where a run keeps what the next one can use again: data sets, indexes, databases."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path


def root() -> Path:
    """The folder outside the tree; `tools/compare` exports it."""
    return Path(os.environ["HASHDB_COMPARE_CACHE"])


def folder_of(kind: str, name: str) -> Path:
    """The folder of one cached thing."""
    return root() / kind / name


def made(folder: Path, make: Callable[[Path], dict]) -> dict:
    """Fills `folder` by `make` unless that was done before; returns what `make` had to say.

    The folder appears under its name only when it is complete, so an interrupted run leaves nothing
    that the next one would take for whole.
    """
    about = folder / "about.json"
    if about.exists():
        return json.loads(about.read_text())
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    (unfinished / "about.json").write_text(json.dumps(make(unfinished), indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    return json.loads(about.read_text())


def bytes_in(folder: Path) -> int:
    """What the files of a folder take."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

"""What is compared: two kinds of glue, and hashdb with and without indexes."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .material import Part

ADDRESS_BITS = 28


@dataclass(frozen=True)
class Contender:
    """A store that a load can go to."""

    name: str
    about: str
    index: str | None = None
    """The indexes of hashdb, None for its default."""

    @property
    def is_hashdb(self) -> bool:
        """Whether it is a database of hashdb."""
        return self.name.startswith("hashdb")


GLUE = Contender("glue", "faiss, then SQLite")
NAMED = Contender("glue-named", "SQLite names the index file")
BARE = Contender("hashdb-none", "`--index none`", "none")
HASHDB = Contender("hashdb", "default indexes")
ALL = (GLUE, NAMED, BARE, HASHDB)


def named(name: str) -> Contender:
    """The contender of a name."""
    return next(one for one in ALL if one.name == name)


def load_line(one: Contender, folder: Path, part: Part) -> list[str]:
    """The command that loads a part into a database of hashdb; addresses are the first bits of codes."""
    codes, keys, values = part.files
    line = [os.environ["HASHDB_COMMAND"], "load", folder, "--codes", codes, "--keys", keys]
    line += ["--values", values, "--duplicates", "error", "--progress", "none"]
    if not (folder / "SUPERBLOCK").exists():
        line += ["--address-bits", ADDRESS_BITS]
        line += ["--index", one.index] if one.index else []
    return list(map(str, line))


def hashdb(*arguments: object) -> list[dict]:
    """Runs a command of hashdb with --json; what it printed, a document a line."""
    line = [os.environ["HASHDB_COMMAND"], *map(str, arguments), "--json"]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"hashdb {arguments[0]}: exit code {done.returncode}: {done.stderr}")
    return [json.loads(text) for text in done.stdout.splitlines()]

"""A load in a process of its own: `python -m glue.child CONTENDER FOLDER PART...` adds part after part.

It prints a line when it begins, with the processor seconds that its own start took, one when a part is
durable, with the part's gap (see `store`), and one when the store is closed. What it printed, it has done.
"""

import subprocess
import sys
import time
from pathlib import Path

from .contenders import load_line, named
from .material import Part


def tell(*words: object) -> None:
    """Says how far it is."""
    print(*words, flush=True)


def through_the_command(name: str, folder: Path, parts: list[Part]) -> None:
    """Loads into hashdb, a call of its command for each part."""
    tell("begin", time.process_time())
    for part in parts:
        # It keeps this process' stderr, whose end then says that neither runs any more.
        line = load_line(named(name), folder, part)
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
        tell("durable", 0.0)
    tell("done")


def through_the_glue(name: str, folder: Path, parts: list[Part]) -> None:
    """Loads into the glue."""
    from .store import Glue, NamedGlue

    kind = {"glue": Glue, "glue-named": NamedGlue}[name]
    tell("begin", time.process_time())
    store = kind(folder)
    for part in parts:
        store.add(part.codes, part.keys, part.values)
        tell("durable", store.gap)
    store.close()
    tell("done")


def main() -> None:
    """Runs the load that the command line asks for."""
    name, folder, *parts = sys.argv[1:]
    how = through_the_command if named(name).is_hashdb else through_the_glue
    how(name, Path(folder), [Part(Path(part)) for part in parts])


if __name__ == "__main__":
    main()

"""`tools/glue`: make the records, check the answers, time loads, kill loads, report."""

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

from compare import cache, machine
from compare.run import say

from . import agreement, arguments, contenders, material, report, timing
from .arguments import BATCHES
from .crash import SOUND, Bench, Crashes
from .material import Part
from .report import Found


def main() -> int:
    """Runs what the command line asks for; 1 if hashdb lost, tore or mixed up anything."""
    given = arguments.parse()
    busy = machine.load()
    say(f"{machine.processor()}\n{report.versions()}\nhashdb {machine.revision()}, load {busy:.1f}")
    with tempfile.TemporaryDirectory(prefix="glue-", dir=cache.root()) as folder:
        scratch = Path(folder)
        whole = material.make(scratch / "all", given.rows, given.seed)
        try:
            found = Found(vars(given), busy, checked(scratch, whole))
        except agreement.WrongError as error:
            say(f"WRONG: {error}")
            return 1
        found.loads = timed(given, scratch, whole)
        if given.kills:
            found.crashes = crashed(given, scratch, whole)
    print(json.dumps(found.row(), indent=1) if given.json else report.text(found))
    unsound = [
        crash
        for crash in found.crashes
        if contenders.named(crash.contender).is_hashdb and set(crash.outcomes) - set(SOUND)
    ]
    return 1 if unsound else 0


def checked(scratch: Path, whole: Part) -> str:
    """Loads into each contender once, which is timed by nobody, and compares what they hold and find."""
    folders = {one: scratch / "stores" / one.name for one in contenders.ALL}
    for one, folder in folders.items():
        timing.load(one, folder, whole)
    said = agreement.check(folders, whole)
    say(said)
    return said


def timed(given: argparse.Namespace, scratch: Path, whole: Part) -> dict[str, list[timing.Load]]:
    """Loads into new stores, one contender after the other, and again."""
    loads: dict[str, list[timing.Load]] = {one.name: [] for one in contenders.ALL}
    for _ in range(given.repeats):
        for one in contenders.ALL:
            loads[one.name].append(timing.load(one, scratch / "stores" / one.name, whole))
            say(f"{one.name}: {loads[one.name][-1].row()}, load {machine.load():.1f}")
    return loads


def crashed(given: argparse.Namespace, scratch: Path, whole: Part) -> list[Crashes]:
    """Kills loads of the second half in one and in batches."""
    half = given.rows // 2
    (first,) = material.cut(whole, scratch / "parts", [0, half])
    (second,) = material.cut(whole, scratch / "parts", [half, given.rows])
    limits = [*range(half, given.rows, given.batch), given.rows]
    batches = material.cut(whole, scratch / "batches", limits)
    found = []
    for one in (contenders.GLUE, contenders.NAMED, contenders.HASHDB):
        bench = Bench(one, scratch / "crashes" / one.name, whole, first, batches)
        for parts in ([second], batches):
            states = bench.states if parts is batches else [bench.states[0], bench.states[-1]]
            # The same moments for all contenders, as shares of each load's time.
            draw = random.Random(given.seed * BATCHES + len(parts))
            found.append(bench.kill(parts, states, given.kills, draw))
            say(f"{found[-1].row()}, load {machine.load():.1f}")
    return found


if __name__ == "__main__":
    sys.exit(main())

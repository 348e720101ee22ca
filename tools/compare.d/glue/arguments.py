"""The command line of `tools/glue`, whose head tells the user what the options are."""

import argparse

from compare.arguments import size

ROWS, QUICK_ROWS = 1_000_000, 10_000
REPEATS, QUICK_REPEATS = 5, 1
KILLS, QUICK_KILLS = 20, 3
# The halves that crashes are tried with are loaded in batches of a tenth of all rows.
BATCHES = 10


def parse() -> argparse.Namespace:
    """Reads the arguments and fills in what depends on others."""
    parser = argparse.ArgumentParser(prog="tools/glue", add_help=False)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", type=size, metavar="N")
    parser.add_argument("--repeats", type=int, metavar="N")
    parser.add_argument("--kills", type=int, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    given.rows = given.rows or (QUICK_ROWS if given.quick else ROWS)
    given.repeats = given.repeats or (QUICK_REPEATS if given.quick else REPEATS)
    given.kills = (QUICK_KILLS if given.quick else KILLS) if given.kills is None else given.kills
    given.batch = given.rows // BATCHES
    return given

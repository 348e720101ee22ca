"""`tools/compare`: prepare, measure, report."""

import json
import sys

from . import arguments, cache, machine, report, run
from .run import say


def main() -> int:
    """Runs what the command line asks for; 1 if hashdb failed or answered wrongly."""
    given = arguments.parse()
    say(f"{machine.processor()}\n{machine.versions()}\nhashdb {machine.revision()}")
    rows = arguments.rows_of(given)
    jobs = run.prepared(given.sets, rows, arguments.queries_of(given), given.only)
    building = {job: run.built(job) for job in jobs}
    if given.build_only:
        return 0
    found = [
        row for job, about in building.items() if about for row in run.measured(job, given.seconds)
    ]
    keep = cache.folder_of("results", "last")
    keep.mkdir(parents=True, exist_ok=True)
    (keep / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    say(f"rows: {keep / 'rows.jsonl'}")
    report.write(given, found, building)
    failed = [job for job, about in building.items() if about is None and job.peer == "hashdb"]
    wrong = [
        row
        for row in found
        if row["peer"] == "hashdb" and ("error" in row or row["agrees"] is False)
    ]
    return 1 if failed or wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""What a run says: tables in Markdown between two marker comments of a document, and on standard
output."""

import argparse
import json

from . import arguments, goals, machine, plot, ratios
from . import rows as table
from .dataset import label
from .jobs import Job
from .rows import Row

BEGIN, END = "<!-- compare:begin -->", "<!-- compare:end -->"
Building = dict[Job, dict | None]


def write(given: argparse.Namespace, found: list[Row], building: Building) -> None:
    """Writes the tables into OUT/results.md and the plot to OUT/compare.png."""
    given.out.mkdir(parents=True, exist_ok=True)
    plotted = plot.draw(found, given.out / "compare.png")
    text = "\n\n".join(sections(given, found, building, plotted))
    print(text)
    document = given.out / "results.md"
    document.write_text(between_markers(document.read_text() if document.exists() else "", text))


def between_markers(document: str, text: str) -> str:
    """The document with the text between its markers; they are added at its end if it has none."""
    if BEGIN not in document:
        document = f"{document.rstrip()}\n\n{BEGIN}\n{END}\n".lstrip()
    before, rest = document.split(BEGIN, 1)
    return f"{before}{BEGIN}\n{text}\n{END}{rest.split(END, 1)[1]}"


def sections(
    given: argparse.Namespace, found: list[Row], building: Building, plotted: bool
) -> list[str]:
    """The parts of the report."""
    parts = ["## hashdb beside others", introduction(found)]
    parts += ["### Goals", goal_table(goals.all_of(found, ratios.of(given.benches)))]
    parts += ["### Exact answers", exact_table(found)]
    if any(row["mode"] == "approx" for row in table.good(found)):
        parts += ["### Approximate k = 10", approximate_table(found)]
    if plotted:
        parts += ["![Recall against queries per second](compare.png)"]
    parts += ["### Building", building_table(building)]
    failed = failures(found, building)
    return [*parts, "Could not be measured:\n\n" + "\n".join(failed)] if failed else parts


def failures(found: list[Row], building: Building) -> list[str]:
    """What could not be built or measured, and why."""
    unbuilt = [job for job, about in building.items() if about is None]
    lines = [f"- {job.name} on {job.data}: could not be built" for job in unbuilt]
    errors = [row for row in found if "error" in row]
    return lines + [
        f"- {row['name']} on {row['data']}, {row['task']}: {row['error']}" for row in errors
    ]


def introduction(found: list[Row]) -> str:
    """How, where and when."""
    spreads = sorted(row["base_spread"] for row in table.good(found))
    middle, worst = (spreads[len(spreads) // 2], spreads[-1]) if spreads else (1, 1)
    steady = f"{middle:.2f} in the median, {worst:.2f} at worst"
    return (
        f"`{arguments.command_line()}`, {machine.today()}, hashdb {machine.revision()}.\n"
        f"{machine.processor()}.\n"
        f"{machine.versions()}.\n\n"
        "Every library ran on one thread, kept on one core. The ratio is speed over faiss'\n"
        "IndexBinaryFlat in the same task, the better of its rates right before and after, which differ by\n"
        f"a factor of {steady}; of each measurement's three parts the\n"
        "fastest counts. Queries are fresh: none is a row of the\n"
        "database (the published PDQ needles are), no process asks one twice. hashdb is measured by\n"
        "`hashdb bench` over a database on disk, the others within Python, where they offer it through\n"
        "buffers made beforehand; faiss and usearch hold their index in memory. *Agrees* tells whether the\n"
        "distances of all checked answers are exactly the true ones, which numpy confirmed for some. p50 and\n"
        "p99 are those of a call, divided by its queries, in microseconds."
    )


def goal_table(listed: list[goals.Goal]) -> str:
    """The goals, reached or not."""
    lines = [[goal.what, goal.goal, goal.figure, goal.verdict, goal.how] for goal in listed]
    return markdown(["what", "goal", "measured", "verdict", "hashdb's plan, work a query"], lines)


def exact_table(found: list[Row]) -> str:
    """One line for each library and task, the fastest first."""
    lines = []
    for data, task, rows in grouped(found, approximate=False):
        for row in sorted(rows, key=lambda row: -row["ratio"]):
            agrees = (
                "recall {:.3f}".format(row["recall"]) if row["agrees"] is None else agreement(row)
            )
            setting = "".join(f", {key} {value}" for key, value in row["setting"].items())
            plans = ", ".join(sorted(row["plans"]))
            speed = [rate(row["qps"]), f"{row['ratio']:.3g}"]
            speed += [f"{row[which]:,.1f}" for which in ("p50_micros", "p99_micros")]
            lines.append([data, task, bold(row, row["name"] + setting), *speed, agrees, plans])
    header = ["data", "task", "library", ">queries/s", ">ratio", ">p50", ">p99", "agrees", "plan"]
    return markdown(header, lines)


def agreement(row: Row) -> str:
    """Whether the checked answers are the true ones."""
    return f"{'yes' if row['agrees'] else '**NO**'}, {row['checked']:,} checked"


def approximate_table(found: list[Row]) -> str:
    """For each library the fastest setting that reaches a recall."""
    lines = []
    for data, _, rows in grouped(found, approximate=True):
        for peer in dict.fromkeys(row["peer"] for row in rows):
            cells = [
                cell(table.at_recall(found, rows[0]["data"], peer, recall))
                for recall in table.RECALLS
            ]
            lines.append([data, bold(rows[0] | {"peer": peer}, peer), *cells])
    return markdown(
        ["data", "library", *(f"recall {recall:.2f}" for recall in table.RECALLS)], lines
    )


def cell(row: Row | None) -> str:
    """Ratio, rate and setting."""
    if row is None:
        return "not reached"
    shape = row["name"].split(" ")[1:] if row["peer"] in ("faiss-ivf", "lancedb") else []
    setting = [f"{key} {value:g}" for key, value in row["setting"].items()]
    return f"{row['ratio']:.3g} ({rate(row['qps'])}/s, {', '.join(shape + setting)}: {row['recall']:.3f})"


def building_table(building: Building) -> str:
    """What building an index took, on one core, and how large it is; it may be that of an earlier run.

    Processor seconds, since an index is built when nobody waits for it, beside other work; an upper
    bound where only the time of day is known.
    """
    lines = []
    for job, about in building.items():
        if about and about["bytes"]:
            count = json.loads((job.folder / "about.json").read_text())["rows"]
            known = "worked" in about
            seconds, (less, more) = (
                about["worked" if known else "seconds"],
                ("", "") if known else "<>",
            )
            figures = [f"{less} {seconds:,.1f}", f"{more} {rate(count / seconds)}"]
            lines.append(
                [label(job.data, count), job.name, *figures, f"{about['bytes'] / count:,.0f}"]
            )
    return markdown(
        ["data", "library", ">processor seconds", ">rows/s", ">bytes a row on disk"], lines
    )


def grouped(found: list[Row], approximate: bool):
    """The rows of each data set and task, in the order of the run."""
    chosen = [row for row in table.good(found) if (row["mode"] == "approx") == approximate]
    keys = dict.fromkeys((row["data"], row["rows"], row["task"]) for row in chosen)
    for data, count, task in keys:
        rows = [row for row in chosen if (row["data"], row["task"]) == (data, task)]
        yield label(data, count), task, rows


def rate(per_second: float) -> str:
    """A rate with three digits."""
    return f"{float(f'{per_second:.3g}'):,.0f}" if per_second >= 10 else f"{per_second:.2g}"


def bold(row: Row, text: str) -> str:
    """hashdb stands out."""
    return f"**{text}**" if row["peer"] == "hashdb" else text


def markdown(header: list[str], lines: list[list[str]]) -> str:
    """A table; a title that begins with > is aligned to the right."""
    rule = ["---:" if title.startswith(">") else "---" for title in header]
    titles = [title.lstrip(">") for title in header]
    return "\n".join("| " + " | ".join(line) + " |" for line in [titles, rule, *lines])

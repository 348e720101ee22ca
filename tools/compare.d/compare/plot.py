"""Recall against queries per second: a panel a data set, a curve a library."""

from pathlib import Path

import numpy as np

from . import rows as table
from .dataset import SOURCES, label
from .rows import Row

PANELS = ("mixture", "smooth")
TICKS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 1.0)
# Where the stretched axis would end; a little beyond 1.
NEAR = 1.0005
# Colour and marker of each library; the scans are lone markers at recall 1.
STYLES = {
    "hashdb": ("#d62728", "o"),
    "faiss-ivf": ("#1f77b4", "s"),
    "faiss-hnsw": ("#17a2a2", "^"),
    "usearch": ("#9467bd", "D"),
    "lancedb": ("#8c6d31", "v"),
    "faiss-flat": ("#555555", "P"),
    "sqlite-vec": ("#2ca02c", "X"),
    "duckdb": ("#e377c2", "*"),
}


def draw(found: list[Row], path: Path) -> bool:
    """Draws the plot, if there is anything to draw."""
    rows = [row for row in table.good(found) if row["mode"] in ("approx", "knn")]
    rows = [row for row in rows if row["batch"] == 1]
    approximate = {row["data"] for row in rows if row["mode"] == "approx"}
    panels = [data for data in PANELS if data in approximate]
    if not panels:
        return False
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    size = (5.6 * len(panels), 5.2)
    figure, (axes,) = plt.subplots(
        1, len(panels), figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for axis, data in zip(axes, panels, strict=True):
        panel(axis, data, [row for row in rows if row["data"] == data])
    axes[0].set_ylabel("queries per second, one thread")
    named = {}
    for axis in axes:
        lines, names = axis.get_legend_handles_labels()
        named |= dict(zip(names, lines, strict=True))
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=5, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return True


def stretched(recall):
    """Recall by what is missing from it, so that what lies near 1 is told apart."""
    return -np.log10(np.maximum(NEAR - recall, 1e-9))


def narrowed(place):
    """The way back."""
    return NEAR - 10.0**-place


def panel(axis, data: str, rows: list[Row]) -> None:
    """The curves of one data set; exact searches stand at recall 1, hollow."""
    for peer, (color, marker) in STYLES.items():
        mine = [row for row in rows if row["peer"] == peer]
        curve = table.pareto([row for row in mine if row["mode"] == "approx"])
        points = [row["recall"] for row in curve], [row["qps"] for row in curve]
        style = {"color": color, "marker": marker, "markersize": 6}
        if curve:
            axis.plot(*points, label=peer, linewidth=1.6, **style)
        exact = max((row["qps"] for row in mine if row["mode"] == "knn"), default=None)
        if exact:
            style |= {"linestyle": "none", "markerfacecolor": "white", "clip_on": False}
            axis.plot([1.0], [exact], label=f"{peer}, exact", **style)
    axis.set_yscale("log")
    axis.set_xscale("function", functions=(stretched, narrowed))
    axis.set_xlim(0.5, 1.0001)
    axis.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axis.grid(True, which="major", color="#dddddd", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.set_title(f"{label(data, rows[0]['rows'])}: {SOURCES[data].title}", fontsize=11)
    axis.set_xlabel("recall of the 10 nearest, by distance")

"""Recall against queries per second: a panel a data set, a curve a library."""

from pathlib import Path

from . import rows as table
from .dataset import SOURCES, label
from .rows import Row

PANELS = ("mixture", "smooth")
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
    rows = [row for row in table.good(found) if row["mode"] in ("approx", "knn") and row["batch"] == 1]
    panels = [data for data in PANELS if any(row["data"] == data and row["mode"] == "approx" for row in rows)]
    if not panels:
        return False
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(panels), figsize=(5.6 * len(panels), 4.8), sharey=True, squeeze=False)
    for axis, data in zip(axes[0], panels, strict=True):
        _panel(axis, data, [row for row in rows if row["data"] == data])
    axes[0][0].set_ylabel("queries per second, one thread")
    names = dict(zip(*reversed([sum(parts, []) for parts in zip(*(axis.get_legend_handles_labels() for axis in axes[0]))])))
    figure.legend(names.values(), names.keys(), loc="outside lower center", ncols=6, frameon=False)
    figure.get_layout_engine() or figure.set_layout_engine("constrained")
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return True


def _panel(axis, data: str, rows: list[Row]) -> None:
    for peer, (color, marker) in STYLES.items():
        mine = [row for row in rows if row["peer"] == peer]
        curve = table.pareto([row for row in mine if row["mode"] == "approx"])
        style = {"color": color, "marker": marker, "markersize": 5}
        if curve:
            axis.plot([row["recall"] for row in curve], [row["qps"] for row in curve], label=peer, linewidth=1.6, **style)
        exact = max((row["qps"] for row in mine if row["mode"] == "knn"), default=None)
        if exact:
            axis.plot([1.0], [exact], label=f"{peer}, exact", linestyle="none", markerfacecolor="white", **style)
    axis.set_yscale("log")
    axis.set_xlim(0.6, 1.01)
    axis.grid(True, which="major", color="#dddddd", linewidth=0.7)
    axis.set_axisbelow(True)
    count = next(row["rows"] for row in rows)
    axis.set_title(f"{label(data, count)}: {SOURCES[data].title}", fontsize=11)
    axis.set_xlabel("recall of the 10 nearest, by distance")

"""Looking up measurements among the rows of a run."""

Row = dict
RECALLS = (0.90, 0.95, 0.99)


def good(rows: list[Row]) -> list[Row]:
    """The rows that hold a measurement."""
    return [row for row in rows if "error" not in row]


def of(rows: list[Row], data: str, name: str, mode: str, size: int, batch: int = 1) -> Row | None:
    """The fastest row of one library (by its name with its shape) in one task."""
    asked = {"data": data, "name": name, "mode": mode, "size": size, "batch": batch}
    found = [row for row in good(rows) if all(row[key] == value for key, value in asked.items())]
    return max(found, key=lambda row: row["ratio"], default=None)


def at_recall(rows: list[Row], data: str, peer: str, recall: float) -> Row | None:
    """The fastest approximate row of a library, of any shape, that reaches a recall."""
    asked = {"data": data, "peer": peer, "mode": "approx"}
    found = [row for row in good(rows) if all(row[key] == value for key, value in asked.items())]
    reaching = (row for row in found if row["recall"] >= recall)
    return max(reaching, key=lambda row: row["ratio"], default=None)


def pareto(rows: list[Row]) -> list[Row]:
    """The rows that no other beats in both recall and rate, by rising recall."""
    best: list[Row] = []
    for row in sorted(rows, key=lambda row: (row["recall"], row["qps"]), reverse=True):
        if not best or row["qps"] > best[-1]["qps"]:
            best.append(row)
    return best[::-1]

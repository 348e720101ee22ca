"""Timing calls one by one, and what came out as a measurement."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np

# Calls that find out how long one takes; their queries are taken from the end, so that the timed
# calls, which start at the beginning, see fresh ones.
PROBES = 3
# A measurement falls into parts over queries of their own, and the fastest counts: other work on the
# machine only ever adds.
PARTS = 3


@dataclass
class Measurement:
    """What one library did in one mode under one setting."""

    queries: int
    qps: float
    p50_micros: float
    p99_micros: float
    recall: float | None = None
    agrees: bool | None = None
    checked: int = 0
    plans: dict = field(default_factory=dict)
    """How often hashdb took each of its plans."""
    work: dict = field(default_factory=dict)
    """What hashdb did for a query: probes, candidates, distances."""

    def row(self) -> dict:
        """As part of a JSON line."""
        return asdict(self)


def affordable(micros: float, budget: float, most: int, batch: int = 1) -> int:
    """How many calls of so many microseconds fit a budget in seconds: some at least, and not more
    than there are queries for."""
    least = 4 * PARTS if batch == 1 else PARTS
    return min(most, max(least, int(budget * 1e6 / max(micros, 0.1))))


def each(call: Callable[[int], object], count: int, budget: float, batch: int = 1) -> Measurement:
    """Calls `call(0)`, `call(1)` and so on, as often as the budget allows and not more than `count`.

    A call answers `batch` queries; rates and percentiles are those of queries.
    """
    tried = min(PROBES if batch == 1 else 1, count)
    probes = [_micros(call, count - 1 - probe) for probe in range(tried)]
    calls = affordable(min(probes), budget, count, batch)
    spent = np.array([_micros(call, index) / batch for index in range(calls)])
    means = [part.mean() for part in np.array_split(spent, min(PARTS, calls))]
    p50, p99 = np.percentile(spent, [50, 99])
    return Measurement(calls * batch, 1e6 / float(min(means)), float(p50), float(p99))


def _micros(call: Callable[[int], object], index: int) -> float:
    start = time.perf_counter_ns()
    call(index)
    return (time.perf_counter_ns() - start) / 1e3

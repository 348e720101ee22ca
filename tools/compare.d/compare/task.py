"""What is asked of a library: a mode with its parameters."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """One way of asking. `size` is k for `knn` and `approx`, the radius for `range` and `ball`."""

    mode: str
    size: int
    batch: int = 1

    @property
    def name(self) -> str:
        """As tables print it."""
        text = {
            "knn": "k = {}",
            "approx": "k = {}, approximate",
            "range": "radius {}",
            "ball": "ball {}",
        }
        return text[self.mode].format(self.size) + (
            f", batches of {self.batch}" if self.batch > 1 else ""
        )

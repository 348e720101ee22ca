"""The records that are loaded: the three files that `hashdb-synth` writes, whole and in parts."""

import itertools
import os
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

VALUE_BYTES = 100


@dataclass(frozen=True)
class Part:
    """Records in three files: codes of 256 bits, keys, one a line, and values."""

    folder: Path

    @property
    def files(self) -> tuple[Path, Path, Path]:
        """Codes, keys and values."""
        return self.folder / "codes.npy", self.folder / "keys.txt", self.folder / "values.npy"

    @cached_property
    def codes(self) -> np.ndarray:
        """Of shape (rows, 32), mapped."""
        return np.load(self.files[0], mmap_mode="r")

    @cached_property
    def keys(self) -> list[str]:
        """As many as rows."""
        return self.files[1].read_text().splitlines()

    @cached_property
    def values(self) -> np.ndarray:
        """Of shape (rows, bytes), mapped."""
        return np.load(self.files[2], mmap_mode="r")


def make(folder: Path, rows: int, seed: int) -> Part:
    """Draws records: clustered codes, keys in no order, values of letters and digits."""
    line = [os.environ["HASHDB_SYNTH_COMMAND"], "records", folder, "--rows", rows, "--seed", seed]
    line += ["--keys", "--values", VALUE_BYTES]
    subprocess.run(list(map(str, line)), check=True, stderr=subprocess.DEVNULL)
    return Part(folder)


def cut(whole: Part, into: Path, limits: list[int]) -> list[Part]:
    """The rows between each limit and the next, as files of their own."""
    return [
        part(whole, into / f"{start}-{end}", start, end)
        for start, end in itertools.pairwise(limits)
    ]


def part(whole: Part, folder: Path, start: int, end: int) -> Part:
    """Some rows, as files of their own."""
    folder.mkdir(parents=True)
    made = Part(folder)
    codes, keys, values = made.files
    np.save(codes, whole.codes[start:end])
    keys.write_text("".join(key + "\n" for key in whole.keys[start:end]))
    np.save(values, whole.values[start:end])
    return made

"""Codes of real pictures: CIFAR-10 and Tiny-ImageNet by hashdb's default encoder, and published PDQ
hashes. The pictures are not in the tree; where they are absent, `missing` says so."""

import csv
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

FOLDERS = {"pictures": ("cifar10", "tinyimagenet32"), "pdq": ("pdq",)}


def folder() -> Path:
    """Where the real data lie."""
    given = os.environ.get("HASHDB_TEST_DATA")
    return Path(given) if given else Path(__file__).resolve().parents[4] / "shared" / "data"


def missing(name: str) -> str | None:
    """Why a real data set cannot be used, or None."""
    folders = (folder() / part for part in FOLDERS.get(name, ()))
    absent = [f"no {part}" for part in folders if not part.is_dir()]
    return " and ".join(absent) or None


def stamp(name: str) -> str:
    """What cached codes depend on: for pictures the fingerprint of the default encoder."""
    if name != "pictures":
        return "all"
    with tempfile.TemporaryDirectory() as scratch:
        line = [os.environ["HASHDB_COMMAND"], "create", f"{scratch}/db", "--json"]
        return json.loads(subprocess.run(line, check=True, stdout=subprocess.PIPE).stdout)[
            "encoder"
        ][:12]


def pictures(queries: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes of the training pictures of both collections; the queries are CIFAR-10 test pictures."""
    # In the order of their names pictures stand by class, and the first would be all of a kind.
    wanted = _encode(sorted(folder().glob("cifar10/test-*")))
    wanted = wanted[np.random.default_rng(7).permutation(len(wanted))]
    train = [*folder().glob("cifar10/train-*"), *folder().glob("tinyimagenet32/train-*")]
    return _encode(sorted(train)), wanted[:queries]


def pdq(queries: int) -> tuple[np.ndarray, np.ndarray]:
    """The published haystack and needles, which lie in the haystack, against their published truth."""
    hashes = folder() / "pdq" / "hashes"
    texts = (hashes.joinpath(f"{name}.txt").read_text() for name in ("haystack", "needles"))
    haystack, needles = (_from_hex(text.split()) for text in texts)
    _check_published(haystack, needles, hashes / "needles_nn_exact.csv")
    return haystack, needles[:queries]


def _from_hex(texts: list[str]) -> np.ndarray:
    return np.frombuffer(bytes.fromhex("".join(texts)), np.uint8).reshape(len(texts), -1).copy()


def _check_published(haystack: np.ndarray, needles: np.ndarray, truth: Path) -> None:
    """Holds hash and distance of each published neighbour against the files' own bits."""
    with truth.open() as lines:
        for needle, row in zip(needles, list(csv.reader(lines))[1:], strict=True):
            for pair in row[1].split():
                index, distance = map(int, pair.split(":"))
                if np.bitwise_count(haystack[index] ^ needle).sum() != distance:
                    raise AssertionError(f"{truth}: {pair} of {row[0]} does not hold")


def _encode(shards: list[Path]) -> np.ndarray:
    """The codes of all pictures of some shards, in the order of their names."""
    command = os.environ["HASHDB_COMMAND"]
    with tempfile.TemporaryDirectory() as scratch:
        db = f"{scratch}/db"
        for line in ([command, "create", db], [command, "ingest", db, *shards]):
            subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
        listing = subprocess.Popen(
            [command, "scan", db, "--json"], stdout=subprocess.PIPE, text=True
        )
        records = sorted((row["key"], row["code"]) for row in map(json.loads, listing.stdout))
        if listing.wait() != 0:
            raise RuntimeError(f"{command} scan failed")
    return _from_hex([code for _, code in records])

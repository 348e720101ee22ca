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
    absent = [str(folder() / part) for part in FOLDERS.get(name, ()) if not (folder() / part).is_dir()]
    return f"no {' and no '.join(absent)}" if absent else None


def stamp(name: str) -> str:
    """What cached codes depend on: for pictures the fingerprint of the default encoder."""
    if name != "pictures":
        return "all"
    with tempfile.TemporaryDirectory() as scratch:
        line = [os.environ["HASHDB_COMMAND"], "create", f"{scratch}/db", "--json"]
        return json.loads(subprocess.run(line, check=True, stdout=subprocess.PIPE).stdout)["encoder"][:12]


def pictures(queries: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes of the training pictures of both collections; the queries are CIFAR-10 test pictures."""
    train = sorted(folder().glob("cifar10/train-*.tar.gz")) + sorted(folder().glob("tinyimagenet32/train-*.tar.gz"))
    return _encode(train), _encode(sorted(folder().glob("cifar10/test-*.tar.gz")))[:queries]


def pdq(queries: int) -> tuple[np.ndarray, np.ndarray]:
    """The published haystack and needles, which lie in the haystack, against their published truth."""
    hashes = folder() / "pdq" / "hashes"
    haystack, needles = (_from_hex(hashes.joinpath(f"{name}.txt").read_text().split()) for name in ("haystack", "needles"))
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
        subprocess.run([command, "create", db], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([command, "ingest", db, *shards, "--progress", "plain"], check=True, stdout=subprocess.DEVNULL)
        listing = subprocess.Popen([command, "scan", db, "--json"], stdout=subprocess.PIPE, text=True)
        records = sorted((row["key"], row["code"]) for row in map(json.loads, listing.stdout))
        if listing.wait() != 0:
            raise RuntimeError(f"{command} scan failed")
    return _from_hex([code for _, code in records])

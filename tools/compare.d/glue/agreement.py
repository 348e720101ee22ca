"""Whether all contenders hold what was loaded and give the same neighbours, before anything is timed."""

import tempfile
from itertools import zip_longest
from pathlib import Path

import numpy as np

from compare import hamming

from .contenders import Contender, hashdb
from .material import Part
from .store import Glue, NamedGlue, pieces

QUERIES = 100
NEIGHBOURS = 10
# The share of a query's bits that differ from the record that it was made of.
CHANGED = 0.05

Answers = list[list[tuple[str, int]]]


class WrongError(Exception):
    """A contender does not hold what it was given, or finds something else."""


def check(folders: dict[Contender, Path], whole: Part) -> str:
    """Compares everything; a sentence about what was compared."""
    queries = drawn(whole.codes)
    expected: Answers | None = None
    for one, folder in folders.items():
        found = (of_hashdb if one.is_hashdb else of_glue)(one, folder, whole, queries)
        are_true(one, found, whole, queries)
        if expected is None:
            expected = found
        elif not same(expected, found):
            raise WrongError(f"{one.name}: other neighbours than {next(iter(folders)).name}")
    return (
        f"{len(queries)} queries gave the same {NEIGHBOURS} nearest keys and distances, and all "
        f"{len(whole.codes):,} keys, codes and values are those of the input."
    )


def drawn(codes: np.ndarray) -> np.ndarray:
    """Queries: records with some bits changed."""
    random = np.random.default_rng(11)
    chosen = codes[np.sort(random.integers(0, len(codes), QUERIES))]
    flips = random.random((QUERIES, codes.shape[1] * 8)) < CHANGED
    return chosen ^ np.packbits(flips, axis=1)


def same(one: Answers, other: Answers) -> bool:
    """Whether answers agree: distances, and the keys below the last distance, where ties are cut."""
    return len(one) == len(other) and all(
        [far for _, far in left] == [far for _, far in right]
        and {hit for hit in left if hit[1] < left[-1][1]}
        == {hit for hit in right if hit[1] < right[-1][1]}
        for left, right in zip(one, other, strict=True)
    )


def are_true(one: Contender, found: Answers, whole: Part, queries: np.ndarray) -> None:
    """Every key that was found is as far away as is said, and none came twice."""
    wanted = {key for answer in found for key, _ in answer}
    rows = {key: row for row, key in enumerate(whole.keys) if key in wanted}
    for answer, query in zip(found, queries, strict=True):
        codes = whole.codes[[rows[key] for key, _ in answer]]
        said = [far for _, far in answer]
        if len({key for key, _ in answer}) != NEIGHBOURS:
            raise WrongError(f"{one.name}: a query has not {NEIGHBOURS} answers")
        if hamming.distances(codes, query).tolist() != said:
            raise WrongError(f"{one.name}: a distance is not that of its key")


def of_glue(one: Contender, folder: Path, whole: Part, queries: np.ndarray) -> Answers:
    """What the glue finds; what it holds is compared with the input."""
    store = (NamedGlue if one.name == "glue-named" else Glue)(folder)
    if not holds(store, whole, len(whole.codes)):
        raise WrongError(f"{one.name}: holds other records than the input")
    found = store.search(queries, NEIGHBOURS)
    store.close()
    return found


def holds(store: Glue, whole: Part, count: int) -> bool:
    """Whether the glue holds just the first records of the input, by every key, code and value."""
    if store.index.ntotal != count or not np.array_equal(store.codes(), whole.codes[:count]):
        return False
    expected = zip(whole.keys[:count], pieces(whole.values[:count]), strict=True)
    return all(row == right for row, right in zip_longest(store.rows(), expected))


def of_hashdb(one: Contender, folder: Path, whole: Part, queries: np.ndarray) -> Answers:
    """What hashdb finds; what it holds is dumped and compared with the input."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        np.save(asked := Path(scratch) / "queries.npy", queries)
        answers = hashdb("query", folder, "--codes", asked, "--mode", "knn", "-k", NEIGHBOURS)
        dump = Path(scratch) / "dump"
        hashdb("dump", folder, dump, "--format", "npy", "--progress", "none")
        if not dumped_whole(dump, whole):
            raise WrongError(f"{one.name}: holds other records than the input")
    return [[(hit["key"], hit["distance"]) for hit in answer["neighbors"]] for answer in answers]


def dumped_whole(dump: Path, whole: Part) -> bool:
    """Whether a dump, which is in another order, has the keys, codes and values of the input."""
    keys = np.array(whole.keys, dtype=bytes)
    theirs = keys_of(dump)
    order, their_order = keys.argsort(), theirs.argsort()
    values = np.load(dump / "values.npy").reshape(len(theirs), -1)
    return (
        np.array_equal(keys[order], theirs[their_order])
        and np.array_equal(whole.codes[order], np.load(dump / "codes.npy")[their_order])
        and np.array_equal(whole.values[order], values[their_order])
    )


def keys_of(dump: Path) -> np.ndarray:
    """The keys of a dump: bytes beside their lengths, which are all the same here."""
    (length,) = set(np.load(dump / "keys.lengths.npy").tolist())
    return np.load(dump / "keys.npy").view(f"S{length}")

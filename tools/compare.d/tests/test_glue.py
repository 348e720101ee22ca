"""The glue does what it says, its drift is noticed, and what a kill left is called by its name."""

import importlib.util
import os
import sqlite3
import subprocess
import sys
import tempfile
import unittest
from collections import Counter
from pathlib import Path

import numpy as np

if importlib.util.find_spec("faiss") is None:
    print(
        "SKIPPED: all tests of glue; they need faiss, as tools/compare installs it", file=sys.stderr
    )
    raise unittest.SkipTest("no faiss")

from compare import hamming
from glue import agreement, crash, report
from glue.contenders import ALL, GLUE, HASHDB
from glue.crash import Bench, Crashes
from glue.material import Part, cut
from glue.store import DriftError, Glue, NamedGlue
from glue.timing import Load

ROWS = 300


def drawn(folder: Path) -> Part:
    """Records as `hashdb-synth` writes them."""
    random = np.random.default_rng(3)
    folder.mkdir()
    codes, keys, values = Part(folder).files
    np.save(codes, random.integers(0, 256, (ROWS, 32), dtype=np.uint8))
    keys.write_text("".join(f"{7919 * row % 100_003:016x}\n" for row in range(ROWS)))
    np.save(values, random.integers(0, 256, (ROWS, 20), dtype=np.uint8))
    return Part(folder)


class WithRecords(unittest.TestCase):
    """A folder with 300 records, whole and in halves."""

    def setUp(self) -> None:
        """Draws them."""
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        self.whole = drawn(self.folder / "all")
        self.halves = cut(self.whole, self.folder / "halves", [0, ROWS // 2, ROWS])
        self.path = self.folder / "store"

    def filled(self, kind: type[Glue], parts: list[Part]) -> None:
        """Loads parts, each by a store that is opened anew."""
        for part in parts:
            store = kind(self.path)
            store.add(part.codes, part.keys, part.values)
            store.close()


class Stores(WithRecords):
    """Both kinds of glue."""

    def test_two_loads_hold_what_was_given_and_find_the_nearest(self) -> None:
        """After reopening, by comparison with the input and with numpy."""
        for kind in (Glue, NamedGlue):
            with self.subTest(kind.__name__):
                self.path = self.folder / kind.__name__
                self.filled(kind, self.halves)
                store = kind(self.path)
                self.assertTrue(agreement.holds(store, self.whole, ROWS))
                self.assertFalse(agreement.holds(store, self.halves[0], ROWS // 2))
                (found,) = store.search(self.whole.codes[7:8], 3)
                distances = hamming.distances(np.asarray(self.whole.codes), self.whole.codes[7])
                self.assertEqual([far for _, far in found], np.sort(distances)[:3].tolist())
                self.assertEqual(found[0], (self.whole.keys[7], 0))

    def test_a_key_that_comes_twice_is_refused_and_changes_nothing(self) -> None:
        """SQLite refuses it before the index is touched."""
        self.filled(Glue, self.halves[:1])
        with self.assertRaises(sqlite3.IntegrityError):
            self.filled(Glue, self.halves[:1])
        self.assertTrue(agreement.holds(Glue(self.path), self.whole, ROWS // 2))

    def test_an_index_without_its_rows_is_drift(self) -> None:
        """What a kill between the index's new name and the commit leaves."""
        self.filled(Glue, self.halves)
        with sqlite3.connect(self.path / "records.sqlite") as db:
            db.execute("delete from records where id >= ?", (ROWS // 2,))
        with self.assertRaises(DriftError):
            Glue(self.path)

    def test_a_named_index_without_its_commit_does_not_count(self) -> None:
        """A load that dies right before the commit leaves the old state, and its file goes."""

        class Dies(NamedGlue):
            def save_index(self) -> float:
                super().save_index()
                raise KeyboardInterrupt

        self.filled(NamedGlue, self.halves[:1])
        with self.assertRaises(KeyboardInterrupt):
            self.filled(Dies, self.halves[1:])
        self.assertEqual(len(list(self.path.glob("*.faiss"))), 2)
        self.assertTrue(agreement.holds(NamedGlue(self.path), self.whole, ROWS // 2))
        self.assertEqual(len(list(self.path.glob("*.faiss"))), 1)


class Kills(WithRecords):
    """What is said about a load that was killed."""

    def test_what_a_kill_left_is_called_by_its_name(self) -> None:
        """Old, new, torn, drift and wrong, of real files."""
        bench = Bench(GLUE, self.folder / "bench", self.whole, self.halves[0], self.halves[1:])
        states = bench.states
        self.assertEqual(states, [ROWS // 2, ROWS])
        bench.renew()
        self.assertEqual(bench.state(states), 0)
        self.assertEqual(bench.state([7, ROWS]), "wrong")
        index = bench.copy / "codes.faiss"
        index.write_bytes(index.read_bytes()[:-40])
        self.assertEqual(bench.state(states), "torn")
        index.unlink()
        self.assertEqual(bench.state(states), "drift")

    def test_hashdb_is_judged_by_its_check_and_its_digest(self) -> None:
        """States by number, other records as wrong, a flipped byte as torn; and its answers are true."""
        if "HASHDB_COMMAND" not in os.environ:
            print("SKIPPED: a test of glue; HASHDB_COMMAND names no hashdb", file=sys.stderr)
            self.skipTest("no hashdb")
        bench = Bench(HASHDB, self.folder / "bench", self.whole, self.halves[0], self.halves[1:])
        self.assertEqual(bench.state(bench.states), len(self.halves) - 1)
        queries = agreement.drawn(self.whole.codes)
        found = agreement.of_hashdb(HASHDB, bench.copy, self.whole, queries)
        agreement.are_true(HASHDB, found, self.whole, queries)
        with self.assertRaises(agreement.WrongError):
            agreement.of_hashdb(HASHDB, bench.base, self.whole, queries)
        bench.renew()
        self.assertEqual(bench.state(bench.states), 0)
        self.assertEqual(bench.state(bench.states[1:]), "wrong")
        segment = next((bench.copy / "segments").glob("*.seg"))
        flipped = bytearray(segment.read_bytes())
        flipped[len(flipped) // 2] ^= 1
        segment.write_bytes(flipped)
        self.assertEqual(bench.state(bench.states), "torn")

    def test_a_load_is_killed_a_number_of_times(self) -> None:
        """And each kill leaves one of the outcomes."""
        bench = Bench(GLUE, self.folder / "bench", self.whole, self.halves[0], self.halves[1:])

        class Draw:
            def uniform(self, low: float, high: float) -> float:
                return low

        found = bench.kill(self.halves[1:], bench.states, 2, Draw())
        self.assertEqual(found.outcomes.total(), 2)
        self.assertGreater(found.seconds, found.gap)
        self.assertFalse(set(found.outcomes) - {"old", "new", "drift"})

    def test_a_state_is_judged_by_what_was_acknowledged(self) -> None:
        """One part more than that is new, one less is lost, two more is wrong."""
        said = [crash.outcome(state, 1) for state in (0, 1, 2, 3, "drift")]
        self.assertEqual(said, ["lost", "old", "new", "wrong", "drift"])

    def test_what_a_killed_process_said_counts(self) -> None:
        """And one that was done was not killed."""

        def speaking(last: str) -> subprocess.Popen:
            text = (
                f"import time; print('durable 0\\ndurable 0\\n{last}', flush=True); time.sleep(9)"
            )
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            line = [sys.executable, "-c", text]
            process = subprocess.Popen(line, start_new_session=True, **pipes)
            process.stdout.readline()
            return process

        self.assertEqual(crash.killed(speaking(""), 0.2), 1)
        self.assertIsNone(crash.killed(speaking("done"), 0.2))


class Reports(unittest.TestCase):
    """Of made-up figures."""

    def setUp(self) -> None:
        """Makes them up: hashdb takes half the time, three times the memory."""
        loads = {one.name: [Load(2.0, 2.0, 100, 50, 0.5)] for one in ALL}
        loads[HASHDB.name] = [Load(seconds, 3.0, 300, 100, 0.0) for seconds in (0.5, 1.0, 9.0)]
        given = {"rows": 1000, "repeats": 3, "kills": 4, "batch": 100}
        crashes = [Crashes("glue", 1, 2.0, 0.5, Counter(old=3, drift=1))]
        self.found = report.Found(given, 1.0, "All agree.", loads, crashes)

    def test_ratios_are_medians_over_the_glue(self) -> None:
        """The rate is above one for who is faster, the others for who takes more."""
        ratios = self.found.ratios(HASHDB.name)
        self.assertEqual(ratios, {"rate": 2.0, "processor": 1.5, "peak": 3.0, "disk": 2.0})
        self.assertEqual(set(self.found.ratios(GLUE.name).values()), {1.0})

    def test_the_tables_say_what_was_found(self) -> None:
        """Rate with its range, and the outcomes in their order."""
        text = report.text(self.found)
        self.assertIn("| 1,000 (111 to 2,000) | 2.00 |", text)
        self.assertIn("| `glue` | one | 2.00 | 25.0% | 4 | 3 | 0 | 1 | 0 | 0 | 0 |", text)

    def test_json_has_every_load_and_every_outcome(self) -> None:
        """Not only medians."""
        row = self.found.row()
        self.assertEqual(len(row["loads"][HASHDB.name]["all"]), 3)
        self.assertEqual((row["crashes"][0]["kills"], row["crashes"][0]["drift"]), (4, 1))


class Answers(unittest.TestCase):
    """Of two stores."""

    def test_ties_at_the_cut_may_differ_and_nothing_else(self) -> None:
        """Keys below the last distance must be the same, in any order; distances always."""
        one = [[("a", 1), ("b", 1), ("c", 4)]]
        self.assertTrue(agreement.same(one, [[("b", 1), ("a", 1), ("d", 4)]]))
        self.assertFalse(agreement.same(one, [[("a", 1), ("d", 1), ("c", 4)]]))
        self.assertFalse(agreement.same(one, [[("a", 1), ("b", 2), ("c", 4)]]))
        self.assertFalse(agreement.same(one, one * 2))


if __name__ == "__main__":
    unittest.main()

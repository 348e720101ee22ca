"""Answers are judged by their distances, and wrong ones are told from right ones."""

import unittest

import numpy as np

from compare import generate, hamming, recall
from compare.dataset import DataSet


def small_set() -> DataSet:
    """Two thousand rows with planted neighbours and the truth by numpy alone."""
    rows, queries = generate.planted(2_000, 20)
    distances = [np.sort(hamming.distances(rows, query)) for query in queries]
    found = [all_of[all_of <= 31] for all_of in distances]
    limits = np.cumsum([0] + [len(part) for part in found])
    nearest = np.array([all_of[:10] for all_of in distances])
    return DataSet("small", "", rows, queries, (31,), nearest, limits, np.concatenate(found))


class Answers(unittest.TestCase):
    """Of the small set."""

    def setUp(self) -> None:
        """Draws it."""
        self.data = small_set()
        orders = [hamming.distances(self.data.rows, query).argsort() for query in self.data.queries]
        self.right = [order[:10] for order in orders]
        self.beyond = [order[-10:] for order in orders]

    def test_right_answers_agree_in_any_order(self) -> None:
        """The order of ids does not matter."""
        shuffled = [ids[::-1] for ids in self.right]
        self.assertEqual(recall.of_nearest(self.data, shuffled, 10), 1.0)
        self.assertTrue(recall.nearest_agree(self.data, shuffled, 10))

    def test_far_rows_and_repeated_ids_do_not_count(self) -> None:
        """Neither raises recall, and neither agrees."""
        repeated = [np.repeat(ids[:1], 10) for ids in self.right]
        self.assertEqual(recall.of_nearest(self.data, self.beyond, 10), 0.0)
        self.assertAlmostEqual(recall.of_nearest(self.data, repeated, 10), 0.1)
        self.assertFalse(recall.nearest_agree(self.data, repeated, 10))

    def test_a_radius_answer_agrees_only_if_complete(self) -> None:
        """One row less, or one beyond the radius, is wrong."""
        all_of = [hamming.distances(self.data.rows, query) for query in self.data.queries]
        inside = [np.flatnonzero(distances <= 31) for distances in all_of]
        self.assertEqual(recall.of_within(self.data, inside, 31), (1.0, True))
        short = [inside[0][1:], *inside[1:]]
        self.assertFalse(recall.of_within(self.data, short, 31)[1])
        wide = [np.append(inside[0], all_of[0].argmax()), *inside[1:]]
        self.assertFalse(recall.of_within(self.data, wide, 31)[1])

    def test_planted_neighbours_lie_below_forty_bits(self) -> None:
        """Ten of them for each query."""
        self.assertLess(self.data.nearest.max(), 40)


class Sources(unittest.TestCase):
    """The synthetic data."""

    def test_the_same_seed_gives_the_same_rows(self) -> None:
        """And queries are no rows."""
        for make in (generate.mixture, generate.smooth):
            rows, queries = make(1_000, 10)
            self.assertTrue(np.array_equal(rows, make(1_000, 10)[0]))
            self.assertGreater(min(hamming.distances(rows, query).min() for query in queries), 0)

    def test_addresses_have_28_bits(self) -> None:
        """All of which are used."""
        for make in (generate.uniform_addresses, generate.clustered_addresses):
            rows, _ = make(5_000, 10)
            self.assertEqual(np.bitwise_or.reduce(rows), (1 << 28) - 1)


if __name__ == "__main__":
    unittest.main()

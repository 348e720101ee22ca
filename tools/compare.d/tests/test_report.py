"""What is said about the measurements follows from them."""

import unittest

from compare import goals, ratios, report, rows


def row(**changes: object) -> dict:
    """A measurement."""
    usual = {"data": "smooth", "rows": 1_000_000, "peer": "hashdb", "name": "hashdb"}
    usual |= {"mode": "approx", "size": 10, "batch": 1, "task": "k = 10, approximate"}
    usual |= {"setting": {}, "qps": 100.0, "ratio": 10.0, "recall": 0.95, "agrees": None}
    return usual | {"plans": {"clusters": 3}, "work": {}} | changes


class Reports(unittest.TestCase):
    """Of made-up measurements."""

    def test_the_best_at_a_recall_is_the_fastest_that_reaches_it(self) -> None:
        """Not the one nearest to it."""
        slow, fast, sloppy = row(), row(recall=0.99, ratio=12.0), row(recall=0.9, ratio=50.0)
        self.assertIs(rows.at_recall([slow, fast, sloppy], "smooth", "hashdb", 0.95), fast)
        self.assertIsNone(rows.at_recall([sloppy], "smooth", "hashdb", 0.95))

    def test_a_beaten_row_is_not_on_the_curve(self) -> None:
        """Only those stay that nothing beats in recall and rate."""
        kept = [row(recall=0.9, qps=90.0), row(recall=0.99, qps=50.0)]
        beaten = row(recall=0.95, qps=40.0)
        self.assertEqual(rows.pareto([kept[1], beaten, kept[0]]), kept)

    def test_a_goal_is_missed_by_its_share(self) -> None:
        """The rival's ratio is the divisor."""
        rival = row(peer="faiss-ivf", name="faiss-ivf nlist=1024", ratio=8.0)
        first = goals.approximate([row(), rival])[0]
        self.assertAlmostEqual(first.measured, 1.25)
        self.assertEqual(first.verdict, "**missed by 17%**")

    def test_a_goal_is_not_judged_at_another_size(self) -> None:
        """A quick run proves nothing about a million rows."""
        rival = row(peer="usearch", name="usearch", rows=1_000, ratio=1.0)
        first = goals.approximate([row(rows=1_000), rival])[0]
        self.assertEqual(first.verdict, "set for another size")

    def test_bench_lines_are_read(self) -> None:
        """With and without the baseline's own time."""
        text = "x\nRATIO a: b 1.5µs, 2.50 times c\nRATIO d e: f 2.0ms, 0.90 times g (1.8ms)\n"
        read = ratios.parsed(text)
        self.assertEqual([(one.what, one.ratio, one.baseline) for one in read],
                         [("a: b", 2.5, "c"), ("d e: f", 0.9, "g")])  # fmt: skip

    def test_a_document_keeps_what_stands_outside_the_markers(self) -> None:
        """And the tables replace what stood between them."""
        document = report.between_markers("before\n", "old")
        again = report.between_markers(document + "after\n", "new")
        self.assertIn("before", again)
        self.assertIn("new", again)
        self.assertNotIn("old", again)
        self.assertTrue(again.endswith("after\n"))


if __name__ == "__main__":
    unittest.main()

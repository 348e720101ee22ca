"""Tests of what tools/compare computes by itself: `python -m unittest tests` with numpy."""

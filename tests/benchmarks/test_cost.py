"""The page on scaling says what the measured figures give."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.cost import gpu_table, hours_per_million, known_cases, measured_table

PAGE = Path(__file__).parents[2] / "deploy" / "scaling.md"


def test_hours_by_hand():
    """36 gigaflops a row on 10 teraflops at a half: a million rows are 3.6e16 over 5e12 a second, 7200 s."""
    assert hours_per_million(36.0, 10.0, 0.5) == pytest.approx(2.0)


@pytest.mark.parametrize("table", [gpu_table, measured_table])
def test_the_page_shows_the_measured_figures(table):
    """Print them anew: python -m tests.benchmarks.cost."""
    assert table(known_cases()) in PAGE.read_text(encoding="utf-8")

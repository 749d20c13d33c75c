"""The pure parts of the report: heat text, layer flow, numbers, chart geometry, first-screen facts."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.report.answers import Answer
from components.report.checks import folded_checks
from components.report.choice import read_briefs
from components.report.drawing import charts, formats, heat
from components.report.page import environment
from components.report.payload import Embedded
from components.report.rows import Word
from components.report.sections import Material
from components.report.sections.summary import tiles
from schemas.base import CheckVerdict, Interval
from schemas.drift import LayerProfile, WordShift
from schemas.quality import Control, Curve
from tests.helpers import sample_quality, sample_records

# answers


def test_a_number_is_another_answer_when_it_moved_by_half_a_typical_deviation() -> None:
    before = Answer("rating", 10.0, "rating 10")
    moved = {value: Answer("rating", value, "").differs(before, 2.0) for value in (10.0, 11.0, 11.001, 8.9)}
    assert moved == {10.0: False, 11.0: False, 11.001: True, 8.9: True}
    assert not Answer("rating", 99.0, "").differs(before, None), "not compared: nothing is said"
    assert Answer("A", None, "A").differs(Answer("B", None, "B"), None)


def test_curves_of_outputs_have_an_axis_of_their_own() -> None:
    curve = Curve(method="ca_lig", kind="deletion", fractions=(0.0, 1.0), probability=(60.0, 40.0), auc=50.0)
    (chart,) = charts.curve_charts([curve], outputs=True)
    assert [tick.label for tick in chart.y_ticks] == ["40", "45", "50", "55", "60"]
    assert [point.y for point in chart.lines[0].points] == [charts.y_at(1.0), charts.y_at(0.0)]
    assert "output 60" in chart.lines[0].points[0].title
    (flat,) = charts.curve_charts([curve.model_copy(update={"probability": (50.0, 50.0)})], outputs=True)
    assert [point.y for point in flat.lines[0].points] == [charts.y_at(0.5)] * 2


# heat text


@given(text=st.text(max_size=80), cuts=st.lists(st.integers(0, 90), max_size=12), size=st.floats(0.1, 5))
def test_pieces_join_to_the_text_whatever_the_offsets(text: str, cuts: list[int], size: float) -> None:
    cuts = sorted(cuts)
    words = [Word("", a, b, size) for a, b in pairwise(cuts)]
    pieces = heat.pieces(text, words, [word.value for word in words], size)
    assert "".join(piece.text for piece in pieces) == text
    assert all(piece.text for piece in pieces)


def test_pieces_keep_the_spacing_and_the_values() -> None:
    words = [Word("not", 0, 3, -1.0), Word("good", 5, 9, 2.0)]
    pieces = heat.pieces("not  good!", words, [-1.0, 2.0], 2.0)
    assert [(piece.text, piece.value, piece.level) for piece in pieces] == [
        ("not", -1.0, -4),
        ("  ", None, 0),
        ("good", 2.0, 8),
        ("!", None, 0),
    ]


@pytest.mark.parametrize(
    ("value", "scale", "expected"), [(1, 1, 8), (-1, 1, -8), (0.5, 1, 4), (9, 1, 8), (0.01, 1, 0), (1, 0, 0)]
)
def test_levels(value: float, scale: float, expected: int) -> None:
    assert heat.level(value, scale) == expected


def test_only_the_beginning_of_a_very_long_text_is_drawn() -> None:
    text = "x" * (heat.MAX_CHARACTERS + 7)
    assert sum(len(piece.text) for piece in heat.pieces(text, [], [], 1.0)) == heat.MAX_CHARACTERS
    assert heat.characters_left_out(text) == 7


# numbers


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.42137, "0.421"),
        (-4.671, "−4.67"),
        (12.34, "12.3"),
        (1234.5, "1,234"),
        (2e-7, "2e−07"),
        (0, "0"),
        (None, "not measured"),
    ],
)
def test_plain(value: float | None, expected: str) -> None:
    assert formats.plain(value) == expected


def test_signed_and_percent() -> None:
    space = "\N{NARROW NO-BREAK SPACE}"
    assert [formats.signed(v) for v in (0.5, -0.5, 0.0, None)] == ["+0.500", "−0.500", "0", "not measured"]
    assert [formats.percent(v) for v in (0.123, 1.0, 0.0, -0.5)] == [
        f"12.3{space}%",
        f"100{space}%",
        f"0{space}%",
        f"−50.0{space}%",
    ]
    assert formats.percent(float("nan")) == "not measured"
    assert formats.signed_percent(0.02) == f"+2.0{space}%"
    assert formats.residual(0.0004) == f"0.04{space}%"
    assert formats.cell(-0.126) == "−0.13"
    assert formats.cell(0.004) == "·"


def test_words_around_numbers() -> None:
    assert [formats.rows(n) for n in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]
    assert [formats.duration(s) for s in (0.42, 12.4, 200, 7500)] == ["0.4 s", "12 s", "3 min 20 s", "2 h 5 min"]
    assert [formats.gibibytes(b) for b in (2**29, 3 * 2**30)] == ["512 MiB", "3.0 GiB"]
    assert [formats.probability(p) for p in (1e-9, 0.0312)] == ["< 0.001", "0.031"]
    assert [formats.exact(v) for v in (0.01, 6.0)] == ["0.01", "6"]
    assert formats.interval(Interval(low=-0.1, high=0.25)) == "−0.100 to 0.250"
    assert formats.moment(datetime(2026, 11, 2, 1, 5, tzinfo=timezone(timedelta(hours=2)))) == "1 November 2026, 23:05 UTC"


# charts


def test_curve_points_lie_where_their_numbers_say() -> None:
    curves = [
        Curve(method="random", kind="deletion", fractions=(0.0, 1.0), probability=(1.0, 0.5), auc=0.75),
        Curve(method="ca_lig", kind="deletion", fractions=(0.0, 0.5, 1.0), probability=(1.0, 0.25, 0.0), auc=0.4),
    ]
    (chart,) = charts.curve_charts(curves)
    assert [(line.name, line.own) for line in chart.lines] == [("ca_lig", True), ("random", False)]
    first, middle, last = chart.lines[0].points
    assert (first.x, last.x) == (chart.x_ticks[0].at, chart.x_ticks[-1].at)
    assert (first.y, last.y) == (chart.y_ticks[-1].at, chart.y_ticks[0].at)
    assert (middle.x, middle.y) == (chart.x_ticks[2].at, chart.y_ticks[1].at)


def test_bars_are_as_high_as_their_shares() -> None:
    chart = charts.layer_chart(LayerProfile(reference=(0.5, 0.5), candidate=(0.8, 0.2), distance=0.2))
    heights = [bar.height for bar in chart.bars]
    assert heights[2] == max(heights)
    np.testing.assert_allclose(np.array(heights) / heights[2] * 0.8, [0.5, 0.5, 0.8, 0.2])
    assert len({(bar.x, bar.kind) for bar in chart.bars}) == 4


def test_margin_strips_share_one_scale_with_zero_on_it() -> None:
    def control(name: str, low: float, high: float) -> Control:
        interval = Interval(low=low, high=high)
        return Control(
            name=name,
            comprehensiveness=0,
            sufficiency=0,
            margin=(low + high) / 2,
            margin_interval=interval,
            beats_ca_lig=high < 0,
        )

    strips = dict(zip("ab", charts.margin_strips([control("a", 0.1, 0.3), control("b", -0.1, -0.05)]), strict=True))
    assert strips["a"].zero == strips["b"].zero
    assert strips["b"].high < strips["b"].zero < strips["a"].low < strips["a"].at < strips["a"].high


def test_a_shift_is_drawn_from_old_to_new() -> None:
    shift = WordShift(
        word="w", toward="A", reference_share=0.5, candidate_share=-0.5, shift=-1, z=-9, p_value=0, q_value=0, n=9, fires=True
    )
    strip = charts.shift_strip(shift, 1.0)
    assert strip.at == strip.high < strip.zero < strip.low
    assert strip.low - strip.zero == pytest.approx(strip.zero - strip.high)


# first screen


def test_tiles_of_a_drifted_version(tmp_path: Path) -> None:
    sample = sample_records.drifted(tmp_path)
    briefs = read_briefs(sample.tables, [], sample.record.drift)
    material = Material(sample.record, sample.tables, [], briefs, Embedded((), 0, 0, 0))
    shown = {tile.label: tile for tile in tiles(material)}
    assert shown["Answers changed"].value == str(sample.record.drift.flipped)
    assert shown["Words with a new role"].value == "1"
    assert shown["Margin over random"].note == "95 % interval 0.645 to 0.687"
    assert shown["Model accuracy"].note.endswith("against version 3")


def test_who_vouches_for_the_record(tmp_path: Path) -> None:
    template = environment().get_template("vouching.html.j2")
    record = sample_records.first_release(tmp_path, n=5).record
    page = template.render(record=record)
    assert hashlib.sha256(record.canonical()).hexdigest() in page
    assert "none: not signed" in page
    signed = record.model_copy(update={"decision": record.decision.model_copy(update={"signing_key": "key-7"})})
    assert "key-7" in template.render(record=signed)


def test_checks_are_ordered_by_what_needs_attention(tmp_path: Path) -> None:
    lines = folded_checks(sample_records.pictures(tmp_path, n=1).record.quality.checks)
    assert [(line.name, line.verdict.value) for line in lines] == [
        ("rows_converged", "fail"),
        ("better than random by class", "fail"),
        ("margin_over_random", "pass"),
        ("not beaten by a simpler explanation", "pass"),
        ("plausibility", "not_applicable"),
    ]


def test_the_checks_of_one_expectation_are_one_line_that_passes_only_when_all_do(tmp_path: Path) -> None:
    checks = [check for check in sample_quality.quality(fails=True).checks if check.slice and check.slice.by == "class"]
    (line,) = folded_checks(checks)
    assert line.observed == "9 fail, 4 not judged, 27 pass"
    assert len(line.parts) == 40
    assert [part.verdict.value for part in line.parts] == ["fail"] * 9 + ["inconclusive"] * 4 + ["pass"] * 27
    (undecided,) = folded_checks([check for check in checks if check.verdict is not CheckVerdict.FAIL])
    assert (undecided.verdict, undecided.observed) == (CheckVerdict.INCONCLUSIVE, "4 not judged, 27 pass")
    (passed,) = folded_checks([check for check in checks if check.verdict is CheckVerdict.PASS][:1])
    assert (passed.verdict, passed.observed, len(passed.parts)) == (CheckVerdict.PASS, "1 pass", 1)


def test_the_requirement_of_a_line_of_controls_names_none_of_them() -> None:
    line = next(line for line in folded_checks(sample_quality.quality(fails=False).checks) if "beaten" in line.name)
    assert line.requirement == "95 % interval of the mean of margin_over_… not below 0.0"

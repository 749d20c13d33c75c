"""The randomisation curve in the report: geometry, and what the page says with, without and instead of it."""

from pathlib import Path

import pytest

from components.report import page
from components.report.sections.quality import randomisation_chart
from schemas.quality import FalsificationSummary
from tests.helpers import sample_records
from tests.helpers.sample_falsification import attempt


def test_the_curve_starts_at_one_and_names_the_ends_of_a_long_axis() -> None:
    chart = randomisation_chart(attempt(left=-0.2))
    sizes, signed = chart.lines
    assert len(sizes.points) == len(signed.points) == 9
    top, middle, bottom = (next(t.at for t in chart.y_ticks if t.label == label) for label in ("1", "0", "−1"))
    assert top < middle < bottom
    assert sizes.points[0].y == pytest.approx(top)
    assert sizes.points[-1].y == pytest.approx(middle + 0.2 * (bottom - middle))
    assert sizes.auc == pytest.approx(-0.2)
    labels = [tick.label for tick in chart.x_ticks]
    assert labels[0] == "none"
    assert labels[-1] == "all"
    assert len(labels) <= 8
    assert sizes.points[-1].title == "sizes, |value|, down to embeddings: −0.200"


def test_without_a_measured_stage_there_is_no_chart() -> None:
    assert randomisation_chart(None) is None
    assert randomisation_chart(attempt(problem="out of memory")) is None
    unmeasured = [
        stage.model_copy(update={"n": 0, "signed": None, "absolute": None, "signed_interval": None, "absolute_interval": None})
        for stage in attempt().stages
    ]
    assert randomisation_chart(FalsificationSummary(row_ids=("r1",), stages=tuple(unmeasured))) is None


def rendered(summary: FalsificationSummary | None, tmp_path: Path) -> str:
    sample = sample_records.first_release(tmp_path, n=5)
    quality = sample.record.quality.model_copy(update={"falsification": summary})
    return page.render(sample.record.model_copy(update={"quality": quality}), sample.tables, [])


def test_the_page_shows_the_curve_the_problem_or_nothing(tmp_path: Path) -> None:
    heading = "Do the maps fall when the model forgets?"
    shown = rendered(attempt(), tmp_path)
    assert heading in shown
    assert "on 16 rows drawn at random" in shown
    assert 'aria-label="rank correlation by stage of randomisation"' in shown
    broken = rendered(attempt(problem="RuntimeError: <b>no memory</b>"), tmp_path)
    assert "could not be tried: RuntimeError: &lt;b&gt;no memory" in broken
    assert heading not in rendered(None, tmp_path)


def test_the_page_says_on_how_many_rows_a_control_was_compared(tmp_path: Path) -> None:
    sample = sample_records.first_release(tmp_path, n=5)
    first, second, *_ = sample.record.quality.controls
    quality = sample.record.quality.model_copy(update={"controls": (first.model_copy(update={"n": 4321}), second)})
    shown = page.render(sample.record.model_copy(update={"quality": quality}), sample.tables, [])
    known, unknown = shown.split('<table class="controls">')[1].split("</table>")[0].split("<tr>")[-2:]
    assert "<small>4,321 rows</small></th>" in known
    assert "</small></th>" not in unknown

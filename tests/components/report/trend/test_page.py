"""The trend page and its numbers: no version is left out, lines break where numbers do not compare, nothing is loaded."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest

from components.common.errors import CouldNotRunError
from components.report import build_trend, trend_rows
from components.report.trend.page import LEFT, RIGHT, WIDTH, nice_ticks, slot, trend_charts
from schemas.evidence import VersionEntry
from tests.helpers.html_page import Page
from tests.helpers.sample_history import START, history


@pytest.fixture(scope="module")
def fifty(tmp_path_factory: pytest.TempPathFactory) -> tuple[VersionEntry, ...]:
    return _history(tmp_path_factory.mktemp("fifty"), 50)


def _history(folder: Path, n: int) -> tuple[VersionEntry, ...]:
    for part in ("drifted", "first"):
        (folder / part).mkdir()
    return history(folder, n)


def _page(name: str, entries: tuple[VersionEntry, ...], folder: Path) -> Page:
    build_trend(name, entries, path=folder / "out" / "trend.html")
    return Page((folder / "out" / "trend.html").read_text(encoding="utf-8"))


def test_rows_say_what_the_records_say(fifty: tuple[VersionEntry, ...]) -> None:
    rows = trend_rows(fifty)
    assert len(rows) == 50
    record = fifty[4].evidence.record  # type: ignore[union-attr]
    assert rows[4].verdict == "fail"
    assert rows[4].figures["rank agreement"] == next(s.value for s in record.drift.statistics if s.slice == "all")
    assert rows[4].figures["top k overlap"] == record.drift.statistics[1].value
    assert rows[4].figures["word shift"] == max(abs(s.shift) for s in record.drift.word_shifts)
    assert rows[4].firing == ("btw", "xq"), "one word of the data set, one beyond it"
    assert rows[6].problem == "never explained"
    assert rows[6].verdict is None
    assert [row.version for row in rows if row.broken] == ["26"]


def test_lines_break_where_a_version_is_missing_or_the_data_changed(fifty: tuple[VersionEntry, ...]) -> None:
    rows = trend_rows(fifty)
    accuracy = trend_charts(rows)[0].series[0]
    assert len(accuracy.points) == 43
    starts = [float(x) for x in re.findall(r"M([\d.]+)", accuracy.path)]
    after_gap = [i for i in range(50) if rows[i].verdict and (i == 0 or not rows[i - 1].verdict or rows[i].broken)]
    assert starts == pytest.approx([slot(i, 50) for i in after_gap], abs=0.06)


def test_every_version_has_its_mark_and_labels_do_not_collide(fifty: tuple[VersionEntry, ...]) -> None:
    for chart in trend_charts(trend_rows(fifty)):
        assert len(chart.marks) == 50
        assert chart.x_ticks[0].label == "50"
        assert len(chart.x_ticks) <= 12
        assert {label.text for label in chart.aliases} == {"@champion", "@candidate"}
        assert len({(label.x, label.y) for label in (*chart.aliases, *chart.words)}) == len(chart.aliases) + len(chart.words)
        assert all(LEFT <= p.x <= WIDTH - RIGHT for s in chart.series for p in s.points)


@pytest.mark.parametrize("ends", [(0.0, 1.0), (0.881, 0.924), (0.5, 0.5), (0.0, 0.0), (-3.0, 7.0), (1e-9, 2e-9), (0.913, 0.913)])
def test_ticks_span_the_values_and_are_few(ends: tuple[float, float]) -> None:
    ticks = nice_ticks(*ends)
    assert ticks[0] <= ends[0] + 1e-12
    assert ticks[-1] >= ends[1] - 1e-12
    assert 2 <= len(ticks) <= 7
    assert ticks == sorted(set(ticks))


@pytest.mark.parametrize("n", [1, 2, 8])
def test_the_page_is_whole_for_any_number_of_versions(tmp_path: Path, n: int) -> None:
    page = _page("review-sentiment", _history(tmp_path, n), tmp_path)
    rows = [attributes for tag, attributes in page.elements if tag == "th" and attributes.get("scope") == "row"]
    assert len(rows) == n
    assert page.source.count("never explained; registered") == n // 7


def test_a_model_without_any_explanation_has_a_page_too(tmp_path: Path) -> None:
    entries = tuple(VersionEntry(version=str(i), created_at=START, problem="never explained") for i in (1, 2))
    page = _page("new", entries, tmp_path)
    assert "No version of this model has been explained yet" in page.source
    assert not [tag for tag, attributes in page.elements if attributes.get("id") == "charts"]


def test_nothing_is_loaded_and_what_users_wrote_is_escaped(fifty: tuple[VersionEntry, ...], tmp_path: Path) -> None:
    evil = '"><script>alert(1)</script>'
    entry = fifty[4]
    record = entry.evidence.record  # type: ignore[union-attr]
    shift = record.drift.word_shifts[0].model_copy(update={"word": evil, "fires": True})
    record = record.model_copy(
        update={
            "drift": record.drift.model_copy(update={"word_shifts": (shift,)}),
            "decision": record.decision.model_copy(update={"reasons": (evil,)}),
        }
    )
    evidence = entry.evidence.model_copy(update={"record": record, "run_url": "javascript:alert(1)"})  # type: ignore[union-attr]
    hostile = entry.model_copy(update={"evidence": evidence, "aliases": (evil,)})
    page = _page(evil, (hostile, VersionEntry(version="9", created_at=START, problem=evil)), tmp_path)
    assert "<script" not in page.source
    assert "javascript:" not in page.source
    assert all(a.startswith(("#", "data:image/")) for name in ("src", "href") for a in page.attributes(name))
    assert not page.attributes("style")
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and "http-equiv" in a)
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert f"'sha256-{base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()}'" in policy


def test_a_page_that_cannot_be_written(fifty: tuple[VersionEntry, ...], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CouldNotRunError, match="cannot be written"):
        build_trend("m", fifty[:1], path=tmp_path / "file" / "trend.html")

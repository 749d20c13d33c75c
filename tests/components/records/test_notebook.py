"""A governance record in a notebook: verdict, reasons and next step in words, nothing unescaped."""

from __future__ import annotations

from html import escape
from pathlib import Path

from components.records.record import read_record
from schemas.base import Interval
from tests.helpers import sample_records


def test_a_record_read_back_says_verdict_reasons_and_next_step(tmp_path: Path):
    record = read_record(sample_records.drifted(tmp_path).record.canonical(), "here")
    html = record._repr_html_()
    assert html is not None
    assert "✗ fail" in html
    assert all(escape(reason) in html for reason in record.decision.reasons)
    assert escape(record.decision.next_step) in html
    assert record.drift.reference is not None
    assert f"</bdi> {record.drift.reference.version}" in html


def test_what_others_wrote_is_escaped(tmp_path: Path):
    record = sample_records.drifted(tmp_path).record
    decision = record.decision.model_copy(update={"reasons": ("<img src=x onerror=alert(1)>",)})
    model = record.model.model_copy(update={"name": "<b>"})
    html = record.model_copy(update={"decision": decision, "model": model})._repr_html_()
    assert html is not None
    assert "<img" not in html
    assert "<bdi>&lt;b&gt;</bdi>" in html


def test_other_records_are_shown_as_text():
    assert Interval(low=0.0, high=1.0)._repr_html_() is None

"""HTML of a governance record for notebooks: verdict, reasons, next step; the full report is a file beside the record."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from schemas.base import notebook_html
from schemas.governance import GovernanceReport

#: A sign beside every word, and translucent colours that both themes show: no verdict by colour alone.
_MARKS = {
    "pass": ("✓", "15 140 90"),
    "fail": ("✗", "220 60 45"),
    "inconclusive": ("?", "200 140 0"),
    "not_applicable": ("–", "128 128 128"),
}
_CELL = "padding:.15em 1em .15em 0;text-align:left;vertical-align:top"


@notebook_html.register
def record_html(record: GovernanceReport) -> str:
    """The record's verdict, its reasons and the parts they come from; text escaped."""
    model, decision = record.model, record.decision
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in decision.reasons)
    lines = "".join(
        f'<tr><th scope="row" style="{_CELL}">{escape(name)}</th><td style="{_CELL}">{value}</td></tr>'
        for name, value in _parts(record)
    )
    return (
        f'<div class="calig" style="max-width:60em;line-height:1.5"><div><b><bdi>{escape(model.name)}</bdi> '
        f"{escape(model.version)}</b>: {_badge(decision.verdict.value)}</div>"
        f'<ul style="margin:.4em 0">{reasons}</ul><div><b>Next:</b> {escape(decision.next_step)}</div>'
        f'<table style="border-collapse:collapse;color:inherit;font-size:inherit;margin-top:.5em">{lines}</table></div>'
    )


def _parts(record: GovernanceReport) -> Iterator[tuple[str, str]]:
    """Name and HTML of each line of the table."""
    compared = record.drift.reference
    yield "quality", _badge(record.quality.verdict.value)
    against = f" against <bdi>{escape(compared.name)}</bdi> {escape(compared.version)}" if compared else ""
    yield "drift", _badge(record.drift.verdict.value) + against
    if record.probe is not None:
        yield "vocabulary probe", _badge(record.probe.verdict.value)
    if record.results.accuracy is not None:
        each = "every label of " if record.results.labels else ""
        yield "accuracy", f"{record.results.accuracy:.1%} of {each}{record.results.n_labelled:,} rows"
    if (found := record.results.regression) is not None:
        yield "mean absolute error", f"{found.mean_absolute_error:.4g} over {found.n:,} rows"
    yield "rows explained", f"{record.data.n_explained:,} of {record.data.dataset.n_rows:,}"


def _badge(verdict: str) -> str:
    sign, colour = _MARKS[verdict]
    return (
        f'<span style="background:rgb({colour} / .25);border-radius:1em;padding:.05em .6em">{sign} '
        f"{verdict.replace('_', ' ')}</span>"
    )

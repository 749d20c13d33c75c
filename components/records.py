"""Governance records read back: of this schema, or of an older one and migrated, or refused; and their HTML in notebooks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape

from pydantic import ValidationError

from components.common.errors import InputError
from schemas.base import notebook_html
from schemas.governance import GovernanceReport
from schemas.published import NewerSchemaError, migrated

_AGAIN = "explain the version again with this release of calig"

#: A sign beside every word, and translucent colours that both themes show: no verdict by colour alone.
_MARKS = {
    "pass": ("✓", "15 140 90"),
    "fail": ("✗", "220 60 45"),
    "inconclusive": ("?", "200 140 0"),
    "not_applicable": ("–", "128 128 128"),
}

_CELL = "padding:.15em 1em .15em 0;text-align:left;vertical-align:top"


def read_record(content: bytes, where: object) -> GovernanceReport:
    """The record in `content`; `where` it was found goes into errors.

    Raises:
        InputError: no record, one of a newer schema, or fields that do not fit.
    """
    try:
        raw = json.loads(content)
        record = migrated(raw)
        return GovernanceReport.model_validate_json(content if record is raw else json.dumps(record))
    except NewerSchemaError as error:
        raise InputError(
            "the record is of a newer schema than this release can read",
            got=f"{where}: {error}",
            next_step="update calig, then run again",
        ) from error
    except ValidationError as error:
        fields = f"the record cannot be read: {error.error_count()} fields do not fit this release's schema"
        raise InputError(fields, got=f"{where}: {_first(error)}", next_step=_AGAIN) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:  # not JSON, or JSON of another shape
        raise InputError("the record cannot be read", got=f"{where}: {error}", next_step=_AGAIN) from error


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


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


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

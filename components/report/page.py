"""Puts the page together: reads the tables, prepares every section, renders the templates, and writes one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from components.errors import CouldNotRunError
from components.report import charts, numbers, rows, selection, summary
from components.report.checks import folded_checks
from components.report.convergence import layer_residuals
from components.report.crosswalk import CLAUSES
from components.report.examples import ExampleView, view_of
from components.report.pairs import pairs_of
from components.report.randomisation import randomisation_chart
from schemas.drift import Statistic
from schemas.fusion import FusionCandidate
from schemas.governance import GovernanceReport

_FILTERS: tuple[Callable[..., Any], ...] = (
    *(numbers.plain, numbers.signed, numbers.percent, numbers.signed_percent, numbers.interval, numbers.count, numbers.cell),
    *(
        numbers.rows,
        numbers.residual,
        numbers.exact,
        numbers.probability,
        numbers.duration,
        numbers.gibibytes,
        numbers.observed,
        numbers.day,
        numbers.moment,
        summary.readable,
        summary.removal,
        summary.signed_points,
        zip,
    ),
)
#: Words whose shift is listed layer by layer.
_BY_LAYER = 3
_TEMPLATES = Path(__file__).parent.parent / "templates"


def write_page(record: GovernanceReport, tables: list[Path], reference_tables: list[Path], path: Path) -> None:
    """Render the page and write it to `path`; see `components.report.build`."""
    write_text(render(record, tables, reference_tables), path)


def write_text(page: str, path: Path) -> None:
    """Write a page, its folder too; CouldNotRunError when that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise CouldNotRunError(
            f"the report cannot be written to {path}", got=error, next_step="check the folder and its free space"
        ) from error


def render(record: GovernanceReport, tables: list[Path], reference_tables: list[Path]) -> str:
    """The page as HTML."""
    briefs = rows.read_briefs(tables)
    answers = rows.read_answers(reference_tables)
    changed = {brief.id for brief in briefs if answers.get(brief.id, brief.predicted) != brief.predicted}
    worst = [example.id for example in record.drift.worst]
    groups = selection.choose(briefs, record.config.report.examples, worst, changed)
    context = {
        "record": record,
        "alerts": summary.alerts(record, briefs),
        "tiles": summary.tiles(record, briefs),
        "checks": folded_checks(record.quality.checks),
        "layer_residuals": layer_residuals(briefs),
        "groups": groups,
        "examples": _examples(record, groups, tables, reference_tables),
        "has_reference_table": bool(answers),
        "clauses": CLAUSES,
        **_quality_context(record),
        **_drift_context(record, tables),
        **_probe_context(record),
    }
    return environment().get_template("page.html.j2").render(context)


def _examples(
    record: GovernanceReport, groups: list[selection.Group], tables: list[Path], references: list[Path]
) -> list[ExampleView]:
    drawn = rows.read_drawn(tables, [row for group in groups for row in group.rows])
    known = rows.read_reference(references, [example.id for example in drawn.values()])
    processor = record.model.processor_path
    return [
        view_of(drawn[row], group.name, group.why, known.get(drawn[row].id), processor) for group in groups for row in group.rows
    ]


def _quality_context(record: GovernanceReport) -> dict[str, Any]:
    return {
        "curve_charts": charts.curve_charts(record.quality.curves),
        "randomisation_chart": randomisation_chart(record.quality.falsification),
        "margins": charts.margin_strips(record.quality.controls),
        "fusions": _fusions(record),
        "size": {
            "width": charts.WIDTH,
            "height": charts.HEIGHT,
            "left": charts.LEFT,
            "right": charts.RIGHT,
            "strip": charts.STRIP,
        },
    }


def _fusions(record: GovernanceReport) -> list[tuple[FusionCandidate, charts.Strip]]:
    """Every fusion that was tried, best first, and its margin over the default drawn."""
    choice = record.method.fusion_choice
    tried = sorted(choice.candidates if choice else (), key=lambda candidate: -candidate.difference)
    return list(zip(tried, charts.margin_strips(tried), strict=True))


def _drift_context(record: GovernanceReport, tables: list[Path]) -> dict[str, Any]:
    drift = record.drift
    reach = max((abs(share) for s in drift.word_shifts for share in (s.reference_share, s.candidate_share)), default=1.0) or 1.0
    return {
        "shifts": [(shift, charts.shift_strip(shift, reach)) for shift in drift.word_shifts],
        "compared": summary.was_compared(drift),
        "units": ("word", "words") if record.model.modality == "text" else ("patch", "patches"),
        "by_layer": [shift for shift in drift.word_shifts if shift.fires and shift.by_layer][:_BY_LAYER],
        "firing": [shift for shift in drift.word_shifts if shift.fires],
        "diffuse": _firing_slices(drift.statistics),
        "statistics": _by_slice(record),
        "statistic_names": list(dict.fromkeys(statistic.name for statistic in drift.statistics)),
        "definitions": {statistic.name: statistic for statistic in drift.statistics},
        "layer_chart": charts.layer_chart(drift.layer_profile) if drift.layer_profile else None,
        "pairs": pairs_of(record, tables),
    }


def _probe_context(record: GovernanceReport) -> dict[str, Any]:
    words = record.probe.words if record.probe else ()
    reach = max((abs(effect) for w in words for effect in (w.reference_effect, w.candidate_effect)), default=1.0) or 1.0
    return {"probed": [(word, charts.effect_strip(word, reach)) for word in words]}


def _firing_slices(statistics: Iterable[Statistic]) -> dict[str, list[str]]:
    """For each statistic beyond its limit somewhere: the slices where it is."""
    slices: dict[str, list[str]] = {}
    for statistic in statistics:
        if statistic.fires:
            slices.setdefault(statistic.name, []).append(statistic.slice)
    return slices


def _by_slice(record: GovernanceReport) -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = {}
    for statistic in record.drift.statistics:
        table.setdefault(statistic.slice, {})[statistic.name] = statistic
    return table


def environment() -> Environment:
    """Our templates with their filters, style and script."""
    environment = Environment(
        loader=PackageLoader("components"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {function.__name__: function for function in _FILTERS}
    environment.globals |= {"style": _inlined("report.css"), "script": _inlined("report.js"), "csp_hash": _csp_hash}
    return environment


def _inlined(name: str) -> Markup:
    """Our own style or script, as it stands between its tags; it holds no text of the record."""
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704


def _csp_hash(content: str) -> str:
    """The source expression that lets exactly this inline style or script through the page's content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

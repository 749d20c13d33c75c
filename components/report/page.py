"""Write a page to its place."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from components.common.errors import CouldNotRunError
from components.report import rows
from components.report.drawing import charts
from components.report.payload import CHUNK, embed
from components.report.sections import examples, summary
from components.report.sections.checks import folded_checks
from components.report.sections.convergence import layer_residuals
from components.report.sections.examples import ExampleView, view_of
from components.report.sections.pairs import pairs_of
from components.report.sections.randomisation import randomisation_chart
from components.report.template_environment import environment
from schemas.drift import Statistic
from schemas.fusion import FusionCandidate
from schemas.governance import GovernanceReport


def write_text(page: str, path: Path) -> None:
    """Write `page` to `path`, making its folder.

    Raises:
        CouldNotRunError: the disk refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise CouldNotRunError(
            f"the report cannot be written to {path}", got=error, next_step="check the folder and its free space"
        ) from error


#: Words whose shift is listed layer by layer.
_BY_LAYER = 3


def write_page(record: GovernanceReport, tables: list[Path], reference_tables: list[Path], path: Path) -> None:
    """Render the page and write it to `path`; see `components.report.build`."""
    write_text(render(record, tables, reference_tables), path)


def render(record: GovernanceReport, tables: list[Path], reference_tables: list[Path]) -> str:
    """The page as HTML."""
    briefs = rows.read_briefs(tables)
    answers = rows.read_answers(reference_tables)
    changed = {brief.id for brief in briefs if answers.get(brief.id, brief.predicted) != brief.predicted}
    worst = [example.id for example in record.drift.worst]
    groups = examples.choose(briefs, record.config.report.examples, worst, changed)
    embedded = embed(record, briefs, tables, reference_tables)
    context = {
        "record": record,
        "alerts": summary.alerts(record, briefs),
        "tiles": summary.tiles(record, briefs),
        "checks": folded_checks(record.quality.checks),
        "layer_residuals": layer_residuals(briefs),
        "groups": groups,
        "examples": _examples(record, groups, tables, reference_tables),
        "has_reference_table": bool(answers),
        "embedded": embedded,
        "n_listed": embedded.n_rows,
        "chunk": CHUNK,
        "clauses": record.crosswalk,
        **_quality_context(record),
        **_drift_context(record, tables),
        **_probe_context(record),
    }
    return environment().get_template("page.html.j2").render(context)


def _examples(
    record: GovernanceReport, groups: list[examples.Group], tables: list[Path], references: list[Path]
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
    probed = [(word, charts.effect_strip(word, reach)) for word in words]
    return {"probed": probed, "probed_beyond": [word for word in words if word.severity is not None]}


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

"""Drift of the reasons against the reference version: words, statistics, layers, and examples of both versions side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.report import rows
from components.report.drawing import charts, heat
from components.report.sections import Material, Section
from schemas.drift import DriftExample, DriftWord
from schemas.governance import GovernanceReport

_MOST = 3  # words named per example: those that changed most
_BY_LAYER = 3  # words whose shift is listed layer by layer


@dataclass(frozen=True, slots=True)
class PairGrid:
    """A picture's two relevance grids as data URIs; `seen` is None when the picture cannot be read."""

    seen: heat.Picture | None
    reference: str
    candidate: str


@dataclass(frozen=True, slots=True)
class PairView:
    """One example with the same answer and other reasons; shares are signed toward `toward`. `most`: text, both shares."""

    example: DriftExample
    toward: str
    reference: tuple[heat.Piece, ...]
    candidate: tuple[heat.Piece, ...]
    most: tuple[tuple[str, float, float], ...]
    grid: PairGrid | None


def pairs_of(record: GovernanceReport, tables: list[Path]) -> list[PairView]:
    """The drift report's worst examples, in its order."""
    worst = record.drift.worst
    image = record.model.modality == "image"
    paths = rows.read_image_paths(tables, [example.id for example in worst]) if image else {}
    return [_view(record, example, paths.get(example.id)) for example in worst]


def _view(record: GovernanceReport, example: DriftExample, image: str | None) -> PairView:
    words = sorted(example.words, key=lambda word: word.start)
    sign, toward = _orientation(example)
    sides = [[sign * word.reference for word in words], [sign * word.candidate for word in words]]
    scale = heat.scale_of(value for side in sides for value in side)
    order = sorted(range(len(words)), key=lambda index: -abs(sides[1][index] - sides[0][index]))[:_MOST]
    return PairView(
        example=example,
        toward=toward,
        reference=heat.pieces(example.text, words, sides[0], scale, example.pair_start),
        candidate=heat.pieces(example.text, words, sides[1], scale, example.pair_start),
        most=tuple((words[index].text, sides[0][index], sides[1][index]) for index in order),
        grid=_grid(record, words, sides, scale, image) if record.model.modality == "image" else None,
    )


def _orientation(example: DriftExample) -> tuple[int, str]:
    """Sign and class that make shares count toward the answer given.

    What counts toward a class in the drift report counts, turned, toward its opposite, where the report names one.
    """
    return (-1, example.opposite) if example.opposite == example.candidate_prediction else (1, example.toward)


def _grid(
    record: GovernanceReport, words: Sequence[DriftWord], sides: list[list[float]], scale: float, image: str | None
) -> PairGrid | None:
    shape = heat.grid_shape([word.text for word in words])
    if shape is None:
        return None
    seen = heat.picture(Path(image), record.model.processor_path) if image else None
    size = heat.grid_size(shape, seen)
    return PairGrid(seen, *(heat.grid(side, shape, scale, size) for side in sides))


def _by_slice(record: GovernanceReport) -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = {}
    for statistic in record.drift.statistics:
        table.setdefault(statistic.slice, {})[statistic.name] = statistic
    return table


def _context(material: Material) -> dict[str, Any]:
    drift = material.record.drift
    reach = max((abs(share) for s in drift.word_shifts for share in (s.reference_share, s.candidate_share)), default=1.0) or 1.0
    return {
        "compared": material.compared,
        "shifts": [(shift, charts.shift_strip(shift, reach)) for shift in drift.word_shifts],
        "firing": material.firing,
        "by_layer": [shift for shift in material.firing if shift.by_layer][:_BY_LAYER],
        "pairs": pairs_of(material.record, material.tables),
        "statistics": _by_slice(material.record),
        "definitions": {statistic.name: statistic for statistic in drift.statistics},
        "layer_chart": charts.layer_chart(drift.layer_profile) if drift.layer_profile else None,
    }


SECTION = Section(30, "drift", "Drift", "drift.html.j2", _context)

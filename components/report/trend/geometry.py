"""Geometry of the trend's charts: one slot per version, lines broken where numbers do not compare; SVG coordinates out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from components.report.drawing import numbers
from components.report.drawing.charts import Point, Tick
from components.report.trend.labels import BOTTOM, HEIGHT, TOP, Label, aliases_of, slot, slot_width, words_of
from components.report.trend.versions import TrendRow

_MARK_Y = 36
_MAX_TICKS = 12


@dataclass(frozen=True, slots=True)
class Series:
    """A figure over the versions."""

    name: str
    path: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A version's verdict above its slot: `kind` names the icon."""

    x: float
    y: float
    size: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class TrendChart:
    """One panel; all panels have the same slots."""

    title: str
    note: str
    series: tuple[Series, ...]
    marks: tuple[Mark, ...]
    aliases: tuple[Label, ...]
    words: tuple[Label, ...]
    breaks: tuple[Tick, ...]
    limit: float | None
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def trend_charts(rows: Sequence[TrendRow]) -> list[TrendChart]:
    """The panels that have anything to show."""
    quality = ("margin", "comprehensiveness", "sufficiency")
    agreement = ("rank agreement", "top k overlap", "sign flip rate")
    limit = next((row.word_limit for row in reversed(rows) if row.word_limit is not None), None)
    panels = (
        _panel(rows, "Accuracy", "of the model on its validation set ↑", {"accuracy": lambda row: row.accuracy}),
        _panel(rows, "Quality of the explanations", "margin over random ↑, comprehensiveness ↑, sufficiency ↓", _taking(quality)),
        _panel(rows, "Agreement with the reference", "rank agreement ↑, top-k overlap ↑, sign-flip rate ↓", _taking(agreement)),
        _panel(rows, "Largest word shift", "words beyond their limit are named ↓", _taking(("word shift",)), limit, named=True),
    )
    return [panel for panel in panels if any(series.points for series in panel.series)]


def _taking(keys: Sequence[str]) -> dict[str, Callable[[TrendRow], float | None]]:
    return {key: lambda row, key=key: row.figures.get(key) for key in keys}  # type: ignore[misc]


def _panel(
    rows: Sequence[TrendRow],
    title: str,
    note: str,
    figures: dict[str, Callable[[TrendRow], float | None]],
    limit: float | None = None,
    named: bool = False,
) -> TrendChart:
    seen = [value for take in figures.values() for row in rows if (value := take(row)) is not None]
    ticks = nice_ticks(
        min([*seen, *([limit] if limit else [])], default=0.0), max([*seen, *([limit] if limit else [])], default=1.0)
    )
    place = _place(ticks)
    largest = next(iter(figures.values()))
    return TrendChart(
        title=title,
        note=note,
        series=tuple(_series(rows, name, take, place) for name, take in figures.items()),
        marks=_marks(rows),
        aliases=aliases_of(rows),
        words=words_of(rows, largest, place) if named else (),
        breaks=tuple(
            Tick(slot(i, len(rows)) - slot_width(len(rows)) / 2, ", ".join(r.broken)) for i, r in enumerate(rows) if r.broken
        ),
        limit=None if limit is None else place(limit),
        x_ticks=_x_ticks(rows),
        y_ticks=tuple(Tick(place(tick), numbers.exact(tick)) for tick in ticks),
    )


def nice_ticks(low: float, high: float) -> list[float]:
    """Four or so round numbers that span `low` to `high`."""
    span = (high - low) or abs(high) / 10 or 1.0
    step = 10 ** math.floor(math.log10(span / 3))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 4)
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    return [round(i * step, 10) for i in range(first, last + 1)]


def _series(
    rows: Sequence[TrendRow], name: str, take: Callable[[TrendRow], float | None], place: Callable[[float], float]
) -> Series:
    path, points, joined = "", [], False
    for index, row in enumerate(rows):
        value = take(row)
        if value is None:
            joined = False
            continue
        x, y = slot(index, len(rows)), place(value)
        path += f"{'L' if joined and not row.broken else 'M'}{x:.1f} {y:.1f}"
        points.append(Point(x, y, f"version {row.version}, {name}: {numbers.plain(value)}"))
        joined = True
    return Series(name, path, tuple(points))


def _marks(rows: Sequence[TrendRow]) -> tuple[Mark, ...]:
    size = min(12.0, slot_width(len(rows)) * 0.9)
    return tuple(
        Mark(
            slot(index, len(rows)) - size / 2,
            _MARK_Y - size / 2,
            size,
            row.verdict.value if row.verdict else "not_applicable",
            f"version {row.version}: {row.verdict.value if row.verdict else row.problem}",
        )
        for index, row in enumerate(rows)
    )


def _x_ticks(rows: Sequence[TrendRow]) -> tuple[Tick, ...]:
    """Version numbers, thinned out so that they do not touch; the newest is always there."""
    step = math.ceil(len(rows) / _MAX_TICKS)
    return tuple(Tick(slot(i, len(rows)), rows[i].version) for i in range(len(rows) - 1, -1, -step))


def _place(ticks: Sequence[float]) -> Callable[[float], float]:
    low, high = ticks[0], ticks[-1]
    return lambda value: HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

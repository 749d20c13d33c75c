"""The trend page, one self-contained HTML file: SVG charts with a slot per version, lines broken where numbers do not compare."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from components.common.plain_text import cut
from components.report.drawing import formats
from components.report.drawing.charts import Point, Tick
from components.report.page import environment, inlined, write_text
from components.report.trend.versions import FIGURES, TrendRow, count_by_verdict, trend_rows
from schemas.evidence import VersionEntry


def write_trend(name: str, entries: Sequence[VersionEntry], path: Path, *, now: datetime) -> None:
    """Write the page about the model `name` to `path`; `entries` oldest first, at least one.

    Raises:
        CouldNotRunError: the page cannot be written.
    """
    rows = trend_rows(entries)
    context = {
        "name": name,
        "rows": rows,
        "newest": next((row for row in reversed(rows) if row.verdict is not None), None),
        "charts": trend_charts(rows),
        "counts": count_by_verdict(rows),
        "figures": FIGURES,
        "now": now,
        "style": inlined("report.css") + inlined("trend.css"),
        "size": {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP, "strip": 0},
        "units": ("word", "words"),
    }
    write_text(environment().get_template("trend.html.j2").render(context), path)


WIDTH, HEIGHT = 460, 290
LEFT, RIGHT, TOP, BOTTOM = 50, 16, 58, 46
_ALIAS_ROWS = (22, 9)
_LETTER = 8.4  # width of a letter in a chart's text on a narrow screen, about
_MAX_LABEL = 16
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
class Label:
    """A text in the chart that points at a version."""

    x: float
    y: float
    text: str
    anchor: str


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
        y_ticks=tuple(Tick(place(tick), formats.exact(tick)) for tick in ticks),
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
        points.append(Point(x, y, f"version {row.version}, {name}: {formats.plain(value)}"))
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


def slot(index: int, n: int) -> float:
    """The middle of a version's slot."""
    return LEFT + (index + 0.5) * slot_width(n)


def slot_width(n: int) -> float:
    """The width that each of `n` versions has."""
    return (WIDTH - LEFT - RIGHT) / max(n, 1)


def aliases_of(rows: Sequence[TrendRow]) -> tuple[Label, ...]:
    """The first alias of each version that has one, above its slot."""
    wanted = [
        (slot(i, len(rows)), _ALIAS_ROWS, cut(f"@{row.aliases[0]}", _MAX_LABEL)) for i, row in enumerate(rows) if row.aliases
    ]
    return _without_collisions(wanted)


def words_of(
    rows: Sequence[TrendRow], largest: Callable[[TrendRow], float | None], place: Callable[[float], float]
) -> tuple[Label, ...]:
    """The first word that fired of each version, above its point."""
    wanted = []
    for index, row in enumerate(rows):
        value = largest(row)
        if row.firing and value is not None:
            more = f" +{len(row.firing) - 1}" if len(row.firing) > 1 else ""
            wanted.append((slot(index, len(rows)), (place(value) - 8,), cut(row.firing[0], _MAX_LABEL) + more))
    return _without_collisions(wanted)


def _without_collisions(wanted: Sequence[tuple[float, Sequence[float], str]]) -> tuple[Label, ...]:
    """Newest first, each at the first height where it lies on no other; one that fits nowhere is left to the table."""
    labels: list[Label] = []
    for x, heights, text in reversed(wanted):
        tried = (_label(x, y, text) for y in heights)
        fitting = next((label for label in tried if not any(_overlap(label, other) for other in labels)), None)
        if fitting is not None:
            labels.append(fitting)
    return tuple(labels)


def _label(x: float, y: float, text: str) -> Label:
    """Centred on `x`, or flush with the edge it would cross."""
    half = len(text) * _LETTER / 2
    if x + half > WIDTH - 2:
        return Label(WIDTH - 2, y, text, "end")
    return Label(2, y, text, "start") if x - half < 2 else Label(x, y, text, "middle")


def _overlap(a: Label, b: Label) -> bool:
    (a_left, a_right), (b_left, b_right) = _reach(a), _reach(b)
    return abs(a.y - b.y) < 12 and a_left < b_right + 4 and b_left < a_right + 4


def _reach(label: Label) -> tuple[float, float]:
    width = len(label.text) * _LETTER
    left = label.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[label.anchor] * width
    return left, left + width

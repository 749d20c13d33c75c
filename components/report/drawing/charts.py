"""SVG coordinates of the charts; colours and text are in the templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from components.report.drawing import formats
from schemas.drift import LayerProfile, WordShift
from schemas.fusion import FusionCandidate
from schemas.probe import ProbedWord
from schemas.quality import Control, Curve

WIDTH, HEIGHT = 460, 270
LEFT, RIGHT, _TOP, _BOTTOM = 50, 26, 12, 46
STRIP = 160  # width of the small marks inside table cells
SIZE = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "strip": STRIP}


@dataclass(frozen=True, slots=True)
class Tick:
    """A position on an axis and its label."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Point:
    """A measured point with the words shown when it is pointed at."""

    x: float
    y: float
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    """One series: an SVG path through its points, and the numbers behind them. `own` marks CA-LIG."""

    name: str
    path: str
    points: tuple[Point, ...]
    own: bool
    auc: float
    shares: tuple[float, ...] = ()
    values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class LineChart:
    """Curves of one kind over a share (x, 0…1) and a probability (y, 0…1), or a regression's output."""

    kind: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle with the words shown when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class BarChart:
    """Two bars per layer: reference and candidate."""

    bars: tuple[Bar, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True)
class Strip:
    """A mark on a line with a zero: from `low` to `high` with a dot at `at` (intervals), or from old to new (shifts)."""

    zero: float
    low: float
    high: float
    at: float


def curve_charts(curves: Sequence[Curve], *, outputs: bool = False) -> list[LineChart]:
    """One chart per kind, CA-LIG first so that the legend starts with it. `outputs`: of a regression, on a scale of their own."""
    kinds = list(dict.fromkeys(curve.kind for curve in curves))
    ticks = (0.0, 0.25, 0.5, 0.75, 1.0)
    scale = _Scale.of([value for curve in curves for value in curve.probability]) if outputs else _Scale(0.0, 1.0)
    x_ticks = tuple(Tick(_x(t), formats.axis_percent(t)) for t in ticks)
    y_ticks = tuple(Tick(y_at(t), f"{scale.value(t):.4g}") for t in ticks)
    what = "output" if outputs else "probability"
    return [
        LineChart(kind, tuple(_line(c, scale, what) for c in sorted(curves, key=_own_first) if c.kind == kind), x_ticks, y_ticks)
        for kind in kinds
    ]


@dataclass(frozen=True, slots=True)
class _Scale:
    """What the foot and the top of the y axis stand for."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> _Scale:
        """The range of the values; one that is empty is widened."""
        low, high = min(values, default=0.0), max(values, default=1.0)
        return cls(low, high) if high > low else cls(low - 0.5, high + 0.5)

    def value(self, share: float) -> float:
        return self.low + share * (self.high - self.low)

    def share(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)


def layer_chart(profile: LayerProfile) -> BarChart:
    """Share of absolute attribution mass per layer, reference beside candidate."""
    top = max(*profile.reference, *profile.candidate, 1e-9)
    slot = (WIDTH - LEFT - RIGHT) / len(profile.candidate)
    bars = []
    for kind, shares, offset in (("reference", profile.reference, 0.14), ("candidate", profile.candidate, 0.5)):
        for layer, share in enumerate(shares):
            y = y_at(share / top)
            title = f"layer {layer}, {kind}: {formats.percent(share)}"
            bars.append(Bar(LEFT + slot * (layer + offset), y, slot * 0.34, HEIGHT - _BOTTOM - y, kind, title))
    x_ticks = tuple(Tick(LEFT + slot * (layer + 0.5), str(layer)) for layer in range(len(profile.candidate)))
    return BarChart(tuple(bars), x_ticks, tuple(Tick(y_at(t), formats.axis_percent(t * top)) for t in (0.0, 0.5, 1.0)))


def margin_strips(margins: Sequence[Control | FusionCandidate]) -> list[Strip]:
    """Margins with their intervals, all on one scale that includes zero."""
    ends = [0.0, *(end for m in margins for end in (m.margin_interval.low, m.margin_interval.high, m.margin))]
    return [_strip(min(ends), max(ends), m.margin_interval.low, m.margin_interval.high, m.margin) for m in margins]


def shift_strip(shift: WordShift, reach: float) -> Strip:
    """A word's signed share from reference to candidate on a scale from −`reach` to `reach`."""
    return _strip(-reach, reach, shift.reference_share, shift.candidate_share, shift.candidate_share)


def effect_strip(word: ProbedWord, reach: float) -> Strip:
    """A probed word's effect from reference to candidate on a scale from −`reach` to `reach` logits."""
    return _strip(-reach, reach, word.reference_effect, word.candidate_effect, word.candidate_effect)


def path_through(points: Sequence[Point]) -> str:
    """The SVG path from point to point."""
    return "M" + "L".join(f"{point.x:.1f} {point.y:.1f}" for point in points)


def is_own(method: str) -> bool:
    """Whether a curve is CA-LIG's own."""
    return method.lower().replace("_", "-") in {"ca-lig", "calig"}


def _line(curve: Curve, scale: _Scale, what: str) -> Line:
    pairs = list(zip(curve.fractions, curve.probability, strict=True))
    points = tuple(
        Point(_x(x), y_at(scale.share(y)), f"{curve.method}: {formats.percent(x)} of tokens, {what} {formats.plain(y)}")
        for x, y in pairs
    )
    return Line(curve.method, path_through(points), points, is_own(curve.method), curve.auc, curve.fractions, curve.probability)


def _own_first(curve: Curve) -> bool:
    return not is_own(curve.method)


def _strip(start: float, stop: float, low: float, high: float, at: float) -> Strip:
    span = (stop - start) or 1.0
    zero, low, high, at = (8 + (STRIP - 16) * (value - start) / span for value in (0.0, low, high, at))
    return Strip(zero, low, high, at)


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def y_at(share: float) -> float:
    """Where a share of the y axis, 0 at its foot and 1 at its top, is drawn."""
    return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)

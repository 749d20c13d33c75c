"""Numbers, dates and names as text for a reader: the filters of the templates."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from schemas.base import Interval

MISSING = "not measured"
_MINUS = "\N{MINUS SIGN}"
_THIN = "\N{NARROW NO-BREAK SPACE}"
_NAMES = {
    "ca_lig": "CA-LIG",
    "plain_ig": "plain IG (layer 0)",
    "layer_ig_mean": "mean of the layer IGs",
    "input_x_gradient": "input × gradient",
}


def plain(value: float | None) -> str:
    """About three significant digits, e.g. 0.421, 4.67, 12.3, 1,234, 2e−07."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    return _rounded(value).replace("-", _MINUS)


def signed(value: float | None) -> str:
    """As `plain`, with the sign always written: +0.421, −0.12; zero has none."""
    text = plain(value)
    return f"+{text}" if value is not None and value > 0 and text not in {"0", MISSING} else text


def percent(value: float | None) -> str:
    """A share as a percentage: 0.123 is 12.3 %, 1.0 is 100 %."""
    if value is None or not math.isfinite(value):
        return MISSING
    digits = 0 if abs(value) >= 0.9995 or value == 0 else 1
    return f"{value * 100:.{digits}f}{_THIN}%".replace("-", _MINUS)


def signed_points(change: float) -> str:
    """A change of a share in percentage points, one decimal: −0.6."""
    return f"{change * 100:+.1f}".replace("-", _MINUS)


def signed_percent(value: float | None) -> str:
    """As `percent`, with the sign always written."""
    return f"+{percent(value)}" if value is not None and value > 0 else percent(value)


def interval(value: Interval | None) -> str:
    """A confidence interval as `0.31 to 0.38`, or nothing when there is none."""
    return "" if value is None else f"{plain(value.low)} to {plain(value.high)}"


def residual(value: float) -> str:
    """A completeness residual as a percentage with two decimals, so that a converged layer does not read as zero."""
    return f"{value * 100:.2f}{_THIN}%"


def axis_percent(value: float) -> str:
    """A share as a whole percentage, short enough for an axis."""
    return f"{value * 100:.0f}{_THIN}%"


def count(value: int) -> str:
    """A whole number with thousands separated."""
    return f"{value:,}"


def rows(value: int) -> str:
    """A number of rows in words: 1 row, 2,000 rows."""
    return f"{value:,} row" if value == 1 else f"{value:,} rows"


def duration(seconds: float) -> str:
    """Wall time: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds) // 60
    return f"{minutes} min {round(seconds) % 60} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def gibibytes(size: int) -> str:
    """A size in GiB, or MiB below one."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def observed(value: float | str | None) -> str:
    """The observed value of a check: a number, or its own words."""
    return value if isinstance(value, str) else plain(value)


def cell(value: float) -> str:
    """A signed value for a dense table: two decimals, a centred dot for what rounds to zero."""
    return "·" if abs(value) < 0.005 else f"{value:+.2f}".replace("-", _MINUS)


def day(when: datetime) -> str:
    """A date as 2 November 2026."""
    return f"{when.day} {when:%B %Y}"


def moment(when: datetime) -> str:
    """A date with the time in UTC."""
    return f"{day(when.astimezone(UTC))}, {when.astimezone(UTC):%H:%M} UTC"


def exact(value: float) -> str:
    """A setting as it was set: 0.01, 6, 0.3."""
    return f"{value:g}".replace("-", _MINUS)


def probability(value: float) -> str:
    """A p- or q-value: three decimals, and `< 0.001` below."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _rounded(value: float) -> str:
    size = abs(value)
    if size < 0.0005:
        return f"{value:.0e}"
    digits = 3 if size < 1 else 2 if size < 10 else 1 if size < 100 else 0
    return f"{value:,.{digits}f}"


def readable(name: str) -> str:
    """A machine name as words: `input_x_gradient` becomes `input × gradient`."""
    return _NAMES.get(name) or name.replace("_", " ")


def removal(kind: str, baseline: str) -> str:
    """In words how a perturbation of `kind` removes content; `baseline` as the attribution run recorded it."""
    return {
        "replace": f"by the tokens of the attribution baseline: {baseline}",
        "delete": "removed tokens keep their place and no position may attend to them",
        "zero": "removed patches are black",
        "blur": "removed patches are blurred",
    }[kind]


FILTERS: tuple[Callable[..., Any], ...] = (
    *(plain, signed, percent, signed_percent, signed_points, interval, residual, count, rows, duration, gibibytes, observed),
    *(cell, day, moment, exact, probability, readable, removal),
)

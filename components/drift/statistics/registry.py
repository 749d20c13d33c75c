"""Registry of the diffuse drift statistics, and their means over slices of the examples.

A statistic is a module of this package with a tuple `STATISTICS`. Its rows in the record and the report, its limit with the birth
certificate, and what honest pairs of versions say about it follow from the entry; a judged one also needs the setting that its
limit names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from pkgutil import iter_modules

import numpy as np

import components.drift.statistics as package
from components.common.intervals import mean_and_interval
from components.drift.examples import MIN_SLICE, Examples, measured
from components.drift.pairing import PairedExample
from components.table.units import Floats
from schemas.base import Direction
from schemas.config import DriftConfig, QualityConfig
from schemas.drift import Statistic

#: Limits are for these slices; the finer ones are there to look at.
_JUDGED = ("all", "same answer")


@dataclass(frozen=True)
class Limit:
    """From which mean on a statistic warns: a setting of `DriftConfig`, and where its default comes from."""

    setting: str
    prior: str
    n_prior: int | None = None


@dataclass(frozen=True)
class NoiseRange:
    """How measured noise raises a limit: its distance from `best` becomes the noise's, never beyond `worst`."""

    best: float
    worst: float


@dataclass(frozen=True)
class DriftStatistic:
    """A statistic of one paired example, judged by its mean; `definition` may name settings in braces, as in `{top_k}`.

    Without a limit it is shown only; without `noise` its limit stays as configured. A judged one has a direction.
    """

    name: str
    measure: Callable[[PairedExample, DriftConfig], float | None]
    direction: Direction
    definition: str
    limit: Limit | None = None
    noise: NoiseRange | None = None

    def beyond(self, value: float, config: DriftConfig) -> bool:
        """Whether a mean lies beyond the limit."""
        if self.limit is None:
            return False
        limit = getattr(config, self.limit.setting)
        return bool(value < limit if self.direction is Direction.HIGHER else value > limit)


@cache
def registered() -> tuple[DriftStatistic, ...]:
    """All diffuse statistics, by module and in the order that stands there."""
    modules = [import_module(f"{package.__name__}.{found.name}") for found in iter_modules(package.__path__)]
    return tuple(one for module in modules for one in getattr(module, "STATISTICS", ()))


def judged() -> list[tuple[DriftStatistic, Limit]]:
    """The statistics that have a limit."""
    return [(one, one.limit) for one in registered() if one.limit is not None]


def measures(config: DriftConfig) -> dict[str, Callable[[PairedExample], float | None]]:
    """What is measured of every example, by the statistic's name."""
    return {one.name: partial(_measured, one, config) for one in registered()}


def _measured(statistic: DriftStatistic, config: DriftConfig, example: PairedExample) -> float | None:
    return statistic.measure(example, config)


def mean_of(statistic: DriftStatistic, examples: Examples) -> float | None:
    """The mean over the examples that have a value; None when none has."""
    values = _known(examples.column(measured(statistic.name)))
    return float(np.mean(values)) if len(values) else None


def summarise(examples: Examples, config: DriftConfig, intervals: QualityConfig) -> list[Statistic]:
    """All statistics on all slices, with bootstrap intervals over the examples (the sampling noise)."""
    cuts, same = examples.column("cuts"), examples.column("same")
    rows = []
    for name, of_cuts in zip(examples.slices, examples.members.T, strict=True):
        slices = {name: of_cuts[cuts], **({"same answer": same} if name == "all" else {})}
        rows += [
            _row(one, shown, _known(examples.column(measured(one.name))[inside]), config, intervals)
            for shown, inside in slices.items()
            for one in registered()
        ]
    return rows


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _row(statistic: DriftStatistic, slice_name: str, values: Floats, config: DriftConfig, intervals: QualityConfig) -> Statistic:
    empty = Statistic(
        name=statistic.name,
        slice=slice_name,
        value=None,
        direction=statistic.direction,
        n=len(values),
        definition=statistic.definition.format_map(dict(config)),
    )
    if len(values) < min(MIN_SLICE, config.min_rows):
        return empty
    mean, interval = mean_and_interval(values, intervals)
    fires = slice_name in _JUDGED and statistic.beyond(mean, config)
    return empty.model_copy(update={"value": mean, "interval": interval, "fires": fires})

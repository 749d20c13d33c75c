"""Simulate the probe's false alarms and detections where words differ in their noise. `make bench-calibration`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from calig.metrics.perturbation import FloatArray
from components.probe.statistics import chance_limit, freedom_of, shifts
from tests.benchmarks.drift.summary import wilson
from tests.benchmarks.machine import describe

RESULTS = Path(__file__).parent / "results" / "calibration.json"
LEVEL = 0.05

#: How much words differ in their noise beside the trend: prior degrees of freedom of the law that it is drawn from.
LAWS = {"d₀ 2": 2.0, "d₀ 6": 6.0, "d₀ 20": 20.0, "alike": np.inf}
WORDS = (466, 3_000)
TWINS = (0, 1, 2, 3)
CONTEXTS = 16

#: Shifts of the planted words over the noise of their distance from the family.
PLANTED = (7.0, 12.0)

DrawsOption = Annotated[int, typer.Option("--draws", min=10, help="Comparisons per setting.")]


@dataclass(frozen=True)
class Setting:
    """One law of noise, number of words, and number of twins.

    telling: whether the contexts disagree the more about a word the more training moves it, as between real retrainings; else
    they disagree alike about all words, and tell nothing: the hard case.
    """

    law: str
    telling: bool
    n_words: int
    n_twins: int


def bench(*, draws: DrawsOption = 40, seed: int = 20261129, output: Path = RESULTS) -> None:
    """Simulate every setting, write JSON, print a table."""
    started, settings = perf_counter(), [Setting(*numbers) for numbers in product(LAWS, (True, False), WORDS, TWINS)]
    lines = [line_of(setting, draws, seed) for setting in track(settings, description="settings")]
    report: dict[str, Any] = {"command": f"python -m tests.benchmarks.bench_calibration --draws {draws} --seed {seed}"}
    report |= {"date": datetime.now(UTC).date().isoformat(), "machine": describe(), "seconds": round(perf_counter() - started)}
    report |= {"level": LEVEL, "draws": draws, "planted": PLANTED, "lines": lines}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    Console(width=150).print(table(report))


def line_of(setting: Setting, draws: int, seed: int) -> dict[str, Any]:
    """Alarms among honest words, and planted words found; the planted words are the first ones, and no false alarms."""
    random = np.random.default_rng([seed, setting.n_words, setting.n_twins, setting.telling, list(LAWS).index(setting.law)])
    limit = chance_limit(LEVEL, setting.n_words, freedom_of(CONTEXTS, setting.n_twins))
    beyond = np.stack([np.abs(_z(setting, random)) >= limit for _ in range(draws)])
    alarms = int(beyond[:, len(PLANTED) :].any(axis=1).sum())
    found = {f"{size:g}": float(beyond[:, place].mean()) for place, size in enumerate(PLANTED)}
    line = {"law": setting.law, "telling": setting.telling, "words": setting.n_words, "twins": setting.n_twins}
    return line | {"false_alarms": alarms / draws, "interval": wilson(alarms, draws), "found": found, "limit": limit}


def _z(setting: Setting, random: np.random.Generator) -> FloatArray:
    return z_of(setting, LAWS[setting.law], PLANTED, random)


def z_of(setting: Setting, freedom: float, planted: Sequence[float], random: np.random.Generator) -> FloatArray:
    """z of every word between two simulated versions, by the probe's own rule; the first words are planted.

    freedom: prior degrees of freedom of the law that the words' noise is drawn from. planted: shifts over the noise.
    """
    reference, candidate, *twins = simulated_versions(setting, freedom, planted, random)
    return shifts(reference, candidate, twins=twins).z[:, 0]


def simulated_versions(setting: Setting, freedom: float, planted: Sequence[float], random: np.random.Generator) -> FloatArray:
    """Effects `versions words contexts 1`: reference, candidate, twins. Noise grows with what a word does."""
    shape = (2 + setting.n_twins, setting.n_words, CONTEXTS, 1)
    does = random.standard_normal((setting.n_words, 1, 1))
    sizes = np.sqrt(_variances(freedom, (setting.n_words, 1, 1), random))
    does[: len(planted)], sizes[: len(planted)] = 0.0, 1.0
    moved = np.sqrt(0.1 + 0.3**2 / 2 * does**2) * sizes * random.standard_normal((*shape[:2], 1, 1))
    apart = np.sqrt(0.1) * (sizes if setting.telling else 1.0) * random.standard_normal(shape)
    versions = does + moved + apart
    noise = np.sqrt((0.1 + 0.1 / CONTEXTS) * (1 + 1 / (1 + setting.n_twins)))
    versions[1, : len(planted)] += noise * np.array(planted)[:, None, None]
    return np.asarray(versions)


def _variances(freedom: float, shape: tuple[int, ...], random: np.random.Generator) -> FloatArray:
    """Each word's variance over the trend's (scaled inverse χ²)."""
    return np.ones(shape) if np.isinf(freedom) else freedom / random.chisquare(freedom, shape)


def table(report: dict[str, Any]) -> Table:
    """Setting by setting."""
    columns = ("noise of words", "contexts tell of it", "words", "twins", "limit", "false alarms", "found")
    title = f"{report['draws']} comparisons each, nominal level {report['level']:.0%}, planted at {report['planted']}"
    result = Table(*columns, title=title)
    for line in report["lines"]:
        alarms = f"{line['false_alarms']:.0%} [{line['interval'][0]:.0%}, {line['interval'][1]:.0%}]"
        found = " ".join(f"{share:.0%}" for share in line["found"].values())
        told = "yes" if line["telling"] else "no"
        result.add_row(line["law"], told, f"{line['words']:,}", str(line["twins"]), f"{line['limit']:.1f}", alarms, found)
    return result


if __name__ == "__main__":
    typer.run(bench)

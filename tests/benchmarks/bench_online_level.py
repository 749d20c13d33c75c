"""Simulate the probe over many versions a day: one level for each, or LORD++ with a floor. `make bench-online-level`.

Words and their noise are those of `bench_calibration`, judged by the probe's own rule; each version has its own reference and
twins. One simulation of p-values serves all policies. The minimum effect is left out: it only spares false alarms.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import stats

from calig.metrics.perturbation import FloatArray
from components.probe.online_level import lord_level
from components.probe.statistics import freedom_of
from tests.benchmarks.bench_calibration import CONTEXTS, Setting, z_of
from tests.benchmarks.machine import describe

RESULTS = Path(__file__).parent / "results" / "online_level.json"
LEVEL, A_DAY = 0.05, 20
CHANGED = (0.0, 0.02, 0.1)

#: Shift of the planted word over the noise of its distance from the family; a changed version has one of them.
PLANTED = (5.0, 7.0, 9.0, 12.0)

#: Prior degrees of freedom of the words' noise, and twins that measure it.
NOISE = ((np.inf, 0), (np.inf, 2), (8.0, 0), (8.0, 2))

Policy = Callable[[Sequence[bool]], float]
DaysOption = Annotated[int, typer.Option("--days", min=1, help="Days of 20 versions each.")]
WordsOption = Annotated[int, typer.Option("--words", min=100, help="Words probed.")]


class Simulated(NamedTuple):
    """Smallest p-value of the honest words of each version, and of each planted word (`versions sizes`); all over all words."""

    honest: FloatArray
    planted: FloatArray


def policies() -> dict[str, Policy]:
    """Level of the next version by the outcomes of the earlier ones."""
    fixed = {f"none, {level:.1%}": _fixed(level) for level in (LEVEL, 0.01, 0.001)}
    return fixed | {f"lord, floor {floor:.1%}": _lord(floor) for floor in (0.01, 0.005, 0.002, 0.001, 0.0)}


def _fixed(level: float) -> Policy:
    return lambda _: level


def _lord(floor: float) -> Policy:
    return lambda failed: lord_level(failed, LEVEL, floor)


def bench(*, days: DaysOption = 60, words: WordsOption = 1_500, seed: int = 20261129, output: Path = RESULTS) -> None:
    """Simulate every noise, hold every policy against it, write JSON, print a table."""
    started, lines = perf_counter(), []
    for freedom, n_twins in track(NOISE, description="noise"):
        setting = Setting("online", True, words, n_twins)
        versions = simulated(setting, freedom, days * A_DAY, seed)
        lines += [
            {"d0": None if np.isinf(freedom) else freedom, "twins": n_twins, "changed": changed, "policy": name}
            | outcome(versions, policy, changed, seed)
            for changed, (name, policy) in product(CHANGED, policies().items())
        ]
    command = f"python -m tests.benchmarks.bench_online_level --days {days} --words {words} --seed {seed}"
    report: dict[str, Any] = {"command": command, "date": datetime.now(UTC).date().isoformat(), "machine": describe()}
    report |= {"seconds": round(perf_counter() - started), "a_day": A_DAY, "days": days, "words": words, "planted": PLANTED}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report | {"lines": lines}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    Console(width=150).print(table(report | {"lines": lines}))


def simulated(setting: Setting, freedom: float, n_versions: int, seed: int) -> Simulated:
    """p-values of so many versions, times the number of words (Bonferroni), as `chance_limit` counts them."""
    random = np.random.default_rng([seed, setting.n_words, setting.n_twins, int(min(freedom, 10**6))])
    z = np.stack([z_of(setting, freedom, PLANTED, random) for _ in range(n_versions)])
    p_value = 2 * setting.n_words * stats.t.sf(np.abs(z), freedom_of(CONTEXTS, setting.n_twins))
    return Simulated(p_value[:, len(PLANTED) :].min(axis=1), p_value[:, : len(PLANTED)])


def outcome(versions: Simulated, policy: Policy, changed: float, seed: int) -> dict[str, Any]:
    """False alarms a day, the share of all alarms that are false, and changed versions found, by size of the planted word."""
    random, n = np.random.default_rng([seed, round(1000 * changed)]), len(versions.honest)
    planted = np.where(random.random(n) < changed, random.integers(len(PLANTED), size=n), -1)
    p_value = np.where(planted >= 0, np.minimum(versions.honest, versions.planted[np.arange(n), planted]), versions.honest)
    failed, levels = failures(p_value, policy)
    false = failed & (planted < 0)
    found = {f"{size:g}": [int(failed[planted == at].sum()), int((planted == at).sum())] for at, size in enumerate(PLANTED)}
    return {
        "false_a_day": float(false.sum() / n * A_DAY),
        "false_share": float(false.sum() / max(1, failed.sum())),
        "found": found,
        "median_level": float(np.median(levels)),
    }


def failures(p_value: FloatArray, policy: Policy) -> tuple[Any, FloatArray]:
    """Which versions fail, and the level that each was held against, one after another."""
    failed: list[bool] = []
    levels: list[float] = []
    for one in p_value:
        levels.append(policy(failed))
        failed.append(bool(one <= levels[-1]))
    return np.array(failed), np.array(levels)


def table(report: dict[str, Any]) -> Table:
    """Policy by policy."""
    columns = (
        "noise",
        "twins",
        "changed",
        "policy",
        "median level",
        "false a day",
        "false of all alarms",
        "found by size",
    )
    result = Table(*columns, title=f"{report['days']} days of {A_DAY} versions, {report['words']:,} words, planted at {PLANTED}")
    for line in report["lines"]:
        noise = "alike" if line["d0"] is None else f"d₀ {line['d0']:g}"
        found = " ".join(f"{n}/{of}" for n, of in line["found"].values())
        rates = (f"{line['median_level']:.2%}", f"{line['false_a_day']:.2f}", f"{line['false_share']:.0%}", found)
        result.add_row(noise, str(line["twins"]), f"{line['changed']:.0%}", line["policy"], *rates)
    return result


if __name__ == "__main__":
    typer.run(bench)

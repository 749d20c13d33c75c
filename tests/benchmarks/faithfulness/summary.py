"""A set's entry in the results, from what its rows gave."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from calig.metrics.perturbation import FloatArray
from calig.rollout import Fusion
from tests.benchmarks.faithfulness.comparing import compared, margins_of
from tests.benchmarks.faithfulness.methods import CA_LIG, EXACT, baseline_of, fusions
from tests.benchmarks.faithfulness.sets import BenchmarkSet
from tests.benchmarks.machine import describe

Lines = Sequence[dict[str, Any]]


def summarise(given: BenchmarkSet, lines: Lines, *, packages: dict[str, str], grid: bool) -> dict[str, Any]:
    """Means, paired differences and costs over the rows; packages: versions of the peers, or why one is not there."""
    settings = fusions() if grid else {}
    measured = {name: _values(lines, name) for name in lines[0]["measures"]}
    return {
        "name": given.name,
        "model": f"{given.snapshot.model_type}, {lines[0]['blocks']} blocks",
        "rows": given.dataset.path.name,
        "rows_digest": given.dataset.digest,
        "n": len(lines),
        "row_ids": [line["id"] for line in lines],
        "n_rationales": int((~np.isnan(measured[CA_LIG].get("auprc", np.array(np.nan)))).sum()),
        "accuracy": _accuracy(lines),
        "perturbation": baseline_of(given).name,
        "scorer": ", ".join(sorted({line["scorer"] for line in lines})),
        "peers": packages,
        "machine": describe(),
        "device": "cpu",
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": sum(line["seconds"] for line in lines),
        "methods": _by_difference([_method(m, measured, lines) for m in measured if m not in settings]),
        "grid": [compared(name, measured[name], measured[CA_LIG]) | _fusion(fusion) for name, fusion in settings.items()],
    }


def _values(lines: Lines, method: str) -> dict[str, FloatArray]:
    """A method's measures, `rows` each."""
    return {name: np.array([line["measures"][method][name] for line in lines]) for name in lines[0]["measures"][method]}


def _method(name: str, measured: dict[str, dict[str, FloatArray]], lines: Lines) -> dict[str, Any]:
    """The method's figures and its cost; controls come with CA-LIG and have no time of their own."""
    costs = [line["costs"].get(name, {}) for line in lines]
    means = {f"{what}_per_row": float(np.mean([cost[what] for cost in costs])) for what in costs[0]}
    exact = {"exact_less_this": margins_of(measured[EXACT], measured[name])} if EXACT in measured else {}
    return compared(name, measured[name], measured[CA_LIG]) | {"seconds_per_row": None} | means | exact


def _fusion(fusion: Fusion) -> dict[str, Any]:
    return {"fusion_rule": fusion.rule, "fusion_coefficient": fusion.coefficient, "context_rule": fusion.context_rule}


def _by_difference(methods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(methods, key=lambda method: -method["difference"])


def _accuracy(lines: Lines) -> float | None:
    """Of the rows explained; None when labels are unknown."""
    right = [line["right"] for line in lines if line["right"] is not None]
    return float(np.mean(right)) if right else None

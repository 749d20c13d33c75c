"""One set from beginning to end: explained, scored, compared."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from calig.metrics.perturbation import FloatArray
from calig.rollout import Fusion
from components.scoring import open_scorer
from flows.progress import Reporter
from tests.benchmarks.faithfulness.comparing import compared
from tests.benchmarks.faithfulness.measuring import Measured, measure, source_of
from tests.benchmarks.faithfulness.methods import CA_LIG, ExplainedRow, baseline_of, explained_rows, fusions
from tests.benchmarks.faithfulness.peers import CaptumPeers, PeerResult
from tests.benchmarks.faithfulness.sets import BenchmarkSet
from tests.benchmarks.machine import describe

_PARITY_ROWS = 8


def run_set(given: BenchmarkSet, *, grid: bool, workspace: Path, reporter: Reporter) -> dict[str, Any]:
    """The set's entry in the results."""
    started = perf_counter()
    rows, peers = _attributed(given, grid, reporter)
    measured, scorer = _measured(given, rows, peers, workspace, reporter)
    settings = fusions() if grid else {}
    return {
        "name": given.name,
        "model": f"{given.snapshot.model_type}, {len(rows[0].attribution.layers)} blocks",
        "rows": given.dataset.path.name,
        "rows_digest": given.dataset.digest,
        "n": len(rows),
        "n_rationales": int((~np.isnan(measured[CA_LIG]["auprc"])).sum()),
        "accuracy": _accuracy(rows),
        "perturbation": baseline_of(given).name,
        "scorer": scorer,
        "machine": describe(),
        "device": "cpu",
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": perf_counter() - started,
        "methods": _by_difference([_method(m, measured, rows, peers) for m in measured if m not in settings]),
        "grid": [compared(name, measured[name], measured[CA_LIG]) | _fusion(fusion) for name, fusion in settings.items()],
    }


def _attributed(given: BenchmarkSet, grid: bool, reporter: Reporter) -> tuple[list[ExplainedRow], list[dict[str, PeerResult]]]:
    """Every row by the engine and, right after it, by Captum, whose budget is the engine's time."""
    captum, advance = CaptumPeers(given), reporter.stage(f"{given.name}: attributions", len(given.examples))
    rows, peers = [], []
    for row in explained_rows(given, grid=grid):
        rows.append(row)
        peers.append(captum.attribute(row))
        advance(1)
    return rows, peers


def _measured(
    given: BenchmarkSet,
    rows: Sequence[ExplainedRow],
    peers: Sequence[dict[str, PeerResult]],
    workspace: Path,
    reporter: Reporter,
) -> tuple[Measured, str]:
    """Measures of all methods and of the grid, through the runtime that the pipeline scores with; and which one that is."""
    replacement = baseline_of(given).replacement_id
    sources = [source_of(row, replacement) for row in rows[:_PARITY_ROWS]]
    whole = [source.without(np.zeros(source.n_content, dtype=bool)) for source in sources]
    scorer, record = open_scorer(given.snapshot, runtime="auto", workspace=workspace, parity_inputs=whole)
    orders = [_all_orders(row, of_row) for row, of_row in zip(rows, peers, strict=True)]
    advance = reporter.stage(f"{given.name}: perturbed inputs", len(rows))
    return measure(rows, orders, scorer=scorer, replacement_id=replacement, progress=advance), record.runtime


def _all_orders(row: ExplainedRow, peers: dict[str, PeerResult]) -> dict[str, FloatArray]:
    return {**row.orders, **{name: result.attribution[None] for name, result in peers.items()}, **row.grid}


def _method(
    name: str, measured: Measured, rows: Sequence[ExplainedRow], peers: Sequence[dict[str, PeerResult]]
) -> dict[str, Any]:
    """The method's figures and its cost; controls come with CA-LIG and have no time of their own."""
    figures = compared(name, measured[name], measured[CA_LIG])
    if name == CA_LIG:
        return figures | {"seconds_per_row": float(np.mean([row.seconds for row in rows]))}
    if name not in peers[0]:
        return figures | {"seconds_per_row": None}
    results = [of_row[name] for of_row in peers]
    cost = {"seconds_per_row": float(np.mean([result.seconds for result in results]))}
    if results[0].evaluations is not None:
        cost |= {f"{what}_per_row": float(np.mean([getattr(r, what) for r in results])) for what in ("evaluations", "features")}
    return figures | cost


def _fusion(fusion: Fusion) -> dict[str, Any]:
    return {"fusion_rule": fusion.rule, "fusion_coefficient": fusion.coefficient, "context_rule": fusion.context_rule}


def _by_difference(methods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(methods, key=lambda method: -method["difference"])


def _accuracy(rows: Sequence[ExplainedRow]) -> float | None:
    """Of the rows explained; None when labels are unknown."""
    right = [row.attribution.predicted == row.example.label for row in rows if row.example.label is not None]
    return float(np.mean(right)) if right else None

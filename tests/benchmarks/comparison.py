"""One case measured: the engine against the peer, in turns, with what the figures mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from calig import Attribution, explain
from tests.benchmarks.cases import Case, Loaded
from tests.benchmarks.ideas import attribution_errors, shares
from tests.benchmarks.machine import in_child, matmul_operations, matmul_peak, peak_memory_increase, worked
from tests.benchmarks.peer import DEFAULT_POINTS, CaptumLoop, p95, residuals

#: The residual both sides must reach for the second comparison: the engine's default tolerance.
RESIDUAL = 0.01
#: Rows on which attribution errors and the shares of ideas are measured.
_FEW = 8
#: Logits below which |Δf| counts as the floor, and the share of such rows from which a case says little about residuals.
_FLOOR, _MANY = 0.1, 0.25


def measure(case: Case, repeats: int) -> dict[str, Any]:
    """One case's entry of the results; see `_ratios` and `_quality` for what the figures mean."""
    loaded = case.load()
    peer = CaptumLoop(loaded)
    peer.internal_batch = _fastest_batch(peer, case.device)
    operations, _ = matmul_operations(lambda: _ours(loaded))
    needed = peer.points_needed(RESIDUAL)
    few = Loaded(loaded.model, loaded.processor, loaded.items[:_FEW])
    errors = attribution_errors(few, needed or DEFAULT_POINTS)
    work: dict[str, Callable[[], Any]] = {"ours": lambda: _ours(loaded), "default": lambda: peer.all_layers(DEFAULT_POINTS)}
    if needed is not None:
        work["equal"] = lambda: peer.all_layers(needed)
    if errors.points is not None:
        work["equal_error"] = lambda: peer.all_layers(errors.points)
    seconds, results = _interleaved(work, case.device, repeats)
    peak = matmul_peak(loaded.model.dtype, case.device)
    return {
        "model": case.title,
        "device": case.device,
        "dtype": case.dtype,
        "rows": len(loaded.items),
        **_ratios(seconds),
        "captum_points_at_equal_residual": needed,
        "captum_points_at_equal_error": errors.points,
        **_quality(results, peer),
        "attribution_error_p95": errors.ours,
        "captum_attribution_error_p95_at_equal_residual": errors.uniform,
        "ideas": shares(few, needed or DEFAULT_POINTS, case.device),
        "matmul_share": operations / seconds["ours"] / peak,
        "peak_memory_ratio": _memory(case, peer.internal_batch),
        "captum_internal_batch_size": peer.internal_batch,
        "captum_points_found_on_rows": len(peer.difference),
        "seconds": seconds,
        "matmul_gigaflops": operations / 1e9,
        "matmul_peak_gigaflops_per_second": peak / 1e9,
    }


def _ours(loaded: Loaded) -> list[Attribution]:
    return explain(*loaded, tolerance=RESIDUAL)


def _fastest_batch(peer: CaptumLoop, device: str) -> int:
    """Captum's best number of points per forward pass, on the longest rows."""

    def seconds(batch: int) -> float:
        peer.internal_batch = batch
        return worked(lambda: peer.layer_sums(0, DEFAULT_POINTS, peer.groups[:1]), device)[0]

    peer.layer_sums(0, 2, peer.groups[:1])  # the first call of any kind is slow
    return min(peer.candidates(), key=seconds)


def _interleaved(work: dict[str, Callable[[], Any]], device: str, repeats: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Best seconds, as `worked` counts them, and last result of each; taking turns, so that other load hits all alike."""
    runs = {name: [worked(function, device)] for name, function in work.items()}
    for _ in range(repeats - 1):
        for name, function in work.items():
            runs[name].append(worked(function, device))
    return {name: min(s for s, _ in r) for name, r in runs.items()}, {name: r[-1][1] for name, r in runs.items()}


def _ratios(seconds: dict[str, float]) -> dict[str, float | None]:
    """Captum's time over ours, for the same rows: higher is better. None: no number of points on the ladder was enough."""
    over = {name: its / seconds["ours"] for name, its in seconds.items()}
    names = {"ratio_vs_captum_50": "default", "ratio_at_equal_residual": "equal", "ratio_at_equal_error": "equal_error"}
    return {figure: over.get(name) for figure, name in names.items()}


def _quality(results: dict[str, Any], peer: CaptumLoop) -> dict[str, Any]:
    """Residuals: 95th percentile over rows, worst layer, relative to max(|Δf|, 0.1). Points: mean over rows and layers.

    `residual_p95` is what users get; `quadrature_residual_p95` is what the quadrature leaves before its known error is taken out.
    """
    ours: list[Attribution] = results["ours"]
    sums = np.stack([a.layer_attributions.sum(-1) for a in ours])
    difference = np.array([a.f_input - a.f_baseline for a in ours])
    at_floor = float((np.abs(difference) < _FLOOR).mean())
    return {
        "residual_p95": p95(residuals(sums, difference)),
        "quadrature_residual_p95": p95(np.stack([a.residuals for a in ours])),
        "captum_residual_p95": p95(residuals(results["default"], peer.difference)),
        "captum_residual_p95_at_equal_residual": p95(residuals(results["equal"], peer.difference))
        if "equal" in results
        else None,
        "mean_points": float(np.mean([a.n_points for a in ours])),
        "converged": float(np.mean([a.converged for a in ours])),
        "rows_at_floor": at_floor,
        "note": f"residuals of {at_floor:.0%} of the rows are measured against the floor of {_FLOOR} logits"
        if at_floor > _MANY
        else "",
    }


def _memory(case: Case, internal_batch: int) -> float:
    """Peak memory beyond the loaded model, ours over Captum's at 50 points; each in a process of its own."""
    ours, captum = (in_child(_memory_of, case, batch, torch.get_num_threads()) for batch in (None, internal_batch))
    return ours / captum


def _memory_of(case: Case, internal_batch: int | None, threads: int) -> float:
    """Bytes; Captum's (with `internal_batch`) at layer 0, where its graph is the deepest."""
    torch.set_num_threads(threads)
    loaded = case.load()
    if internal_batch is None:
        return peak_memory_increase(lambda: _ours(loaded), case.device)
    peer = CaptumLoop(loaded)
    peer.internal_batch = internal_batch
    return peak_memory_increase(lambda: peer.layer_sums(0, DEFAULT_POINTS), case.device)

"""The parts of the check on a GPU: each measures one thing on a device and says whether it holds.

Each runs on the CPU as well, where tests call it: what a GPU adds there is its numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch

from calig import Attribution, explain
from calig.batching import suitable_batch_tokens
from calig.passes import Paths
from components.attribution import estimate
from components.attribution.running import attribute_examples
from components.common.memory import peak_resident_bytes
from components.scoring.batches import Arrays
from components.scoring.models import open_classifier
from components.scoring.session import exported, open_session
from schemas.config import AttributionConfig
from schemas.release import Example
from tests.benchmarks.cases import BUILT_IN, Case, Loaded
from tests.benchmarks.comparison import measure
from tests.benchmarks.machine import in_child, matmul_operations, matmul_peak, peak_memory_increase, timed
from tests.helpers.snapshots import snapshot_of

#: `passed` says whether what must hold does; the other entries are figures.
Findings = dict[str, Any]

TESTS = Path(__file__).parents[1]

#: Where tests with the mark `cuda` are.
MARKED = (TESTS / "calig", TESTS / "components" / "scoring")

_FAMILIES = ("minilm-shape-comments", "distilbert-shape", "deberta-shape", "decoder-shape", "vit-base-shape")
_MODEL = "minilm-shape-comments"
_LONG = "bert-base-512-tokens"

#: Σ|a − b| / Σ|b| of a row: at the same nodes float32 rounding alone is left, some 1e-5; with nodes of its own the quadrature's.
_SAME_NODES, _OWN_NODES = 1e-3, 0.02

#: Largest difference of logits between providers, as a share of the largest logit: float32 rounding, some 1e-6.
_LOGITS = 1e-4

#: Expected over measured memory.
_MEMORY = (0.75, 1.25)

#: Aims, not bars: a part that misses one does not fail.
GOALS = {"ratio_vs_captum_50": 15.0, "share_of_bfloat16_peak": 0.5}


def parity(device: str, models: Sequence[str] = _FAMILIES) -> Findings:
    """Attributions on the device against the CPU's: float32 at the same nodes, and reduced products against float32."""
    tf32 = _tf32_is_on()
    families = {name: _differences(name, device) for name in models}
    holds = all(f["float32"] <= _SAME_NODES and f["reduced"] <= _OWN_NODES for f in families.values())
    bars = {"float32": _SAME_NODES, "reduced": _OWN_NODES}
    return {"passed": holds and not tf32, "tf32": tf32, "allowed": bars, "differences": families}


def marked_tests(device: str, folders: Sequence[Path] = MARKED) -> Findings:
    """The tests with the mark `cuda`; one that was skipped is not passed."""
    code, passed, skipped, failed = in_child(_run_marked, list(map(str, folders)))
    holds = code == 0 and passed > 0 and not skipped
    return {"passed": holds, "exit_code": code, "n_passed": passed, "skipped": skipped, "failed": failed}


def onnx_runtime(device: str, model: str = _MODEL) -> Findings:
    """ONNX Runtime on the device against its CPU provider, inputs bound to the device's memory; texts per second of both."""
    rows, length = 64, 60
    arrays = _batch(rows, length)
    with TemporaryDirectory() as folder:
        BUILT_IN[model].save(Path(folder) / "model")
        classifier = open_classifier(snapshot_of(Path(folder) / "model"), device="cpu")
        file = exported(classifier.module, arrays, folder=Path(folder) / "onnx")
        on_cpu, _ = open_session(file, threads=torch.get_num_threads(), gpu=False)
        run, providers = open_session(file, threads=torch.get_num_threads(), gpu=device == "cuda")
        expected, got = on_cpu(arrays), run(arrays)
        seconds = {
            name: min(timed(lambda s=s: s(arrays), "cpu")[0] for _ in range(3)) for name, s in (("cpu", on_cpu), (device, run))
        }
    difference = float(np.abs(got - expected).max() / np.abs(expected).max())
    bound_to: str = run.device  # type: ignore[attr-defined]
    return {
        "passed": difference <= _LOGITS and bound_to == device,
        "providers": list(providers),
        "inputs_bound_to": bound_to,
        "difference": difference,
        "allowed": _LOGITS,
        "texts_per_second": {name: rows / s for name, s in seconds.items()},
    }


def engine(device: str, models: Sequence[str] = (_MODEL, "bert-base-shape")) -> Findings:
    """`make bench-engine` on the device: time against a loop of Captum, quadrature and its residuals."""
    cases = [measure(Case(model=model, device=device), repeats=2) for model in models]
    sound = all(case["converged"] == 1.0 and case["quadrature_residual_p95"] <= 0.01 for case in cases)
    goal = GOALS["ratio_vs_captum_50"]
    return {"passed": sound, "goal": goal, "met": all(c["ratio_vs_captum_50"] >= goal for c in cases), "cases": cases}


def throughput(device: str, model: str = _LONG, n_rows: int = 8) -> Findings:
    """The share of the matmul peak reached at 512 tokens, in float32 and with reduced products."""
    loaded = Case(model=model, n_rows=n_rows, device=device).load()
    kinds = {"float32": (False, torch.float32), "bfloat16": (True, torch.bfloat16)}
    shares = {name: _share_of_peak(loaded, device, reduced, dtype) for name, (reduced, dtype) in kinds.items()}
    goal = GOALS["share_of_bfloat16_peak"]
    return {"passed": True, "goal": goal, "met": shares["bfloat16"] >= goal, "share_of_peak": shares}


def memory(device: str, model: str = _MODEL, n_rows: int = 48) -> Findings:
    """The memory expected beforehand over what the run then took, in a process that has done nothing else."""
    expected, measured = in_child(_expected_and_measured, device, model, n_rows)
    ratio = expected / measured
    figures = {"expected_bytes": expected, "measured_bytes": measured, "ratio": ratio, "allowed": _MEMORY}
    return {"passed": _MEMORY[0] <= ratio <= _MEMORY[1], **figures}


def out_of_memory(device: str, model: str = _MODEL, n_rows: int = 4) -> Findings:
    """Memory that is too small for a batch: batches are halved, and values stay what they were."""
    loaded = Case(model=model, n_rows=n_rows, device=device).load()
    whole = explain(*loaded, batch_tokens=suitable_batch_tokens(torch.device("cpu")), n_points=16)
    with scarce(device) as refusals:
        halved = explain(*loaded, batch_tokens=2**20, n_points=16)
    difference = _largest_difference(halved, whole)
    holds = refusals() > 0 and difference <= _SAME_NODES
    return {"passed": holds, "refusals": refusals(), "difference": difference, "allowed": _SAME_NODES}


def synchronisations(device: str, model: str = _MODEL) -> Findings:
    """How often the CPU waits for the device, per row; a figure without a bar. None where there is no GPU to wait for."""
    loaded = Case(model=model, n_rows=4, device=device).load()
    explain(*loaded)
    if device != "cuda":
        return {"passed": True, "per_row": None}
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with pytest.warns(UserWarning, match="synchronizing") as waited:
            explain(*loaded)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return {"passed": True, "per_row": len(waited) / len(loaded.items)}


#: In the order in which they run: what must hold before what takes long.
PARTS: dict[str, Callable[[str], Findings]] = {
    "parity": parity,
    "marked tests": marked_tests,
    "ONNX Runtime": onnx_runtime,
    "halving on out-of-memory": out_of_memory,
    "memory estimate": memory,
    "synchronisations": synchronisations,
    "share of the matmul peak": throughput,
    "engine": engine,
}


class Tally:
    """Counts outcomes of a pytest run; a plugin."""

    def __init__(self) -> None:
        self.passed, self.skipped, self.failed = 0, list[str](), list[str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test is counted once: where it ran, or where it was skipped or broke before or after."""
        if report.skipped:
            self.skipped.append(report.nodeid)
        elif report.failed:
            self.failed.append(report.nodeid)
        elif report.when == "call":
            self.passed += 1


@contextmanager
def scarce(device: str) -> Iterator[Callable[[], int]]:
    """Inside, a batch of the whole group does not fit; gives how often memory ran out. On the CPU that is only played."""
    if device == "cuda":
        with _scarce_gpu() as refusals:
            yield refusals
        return
    sweep, refused = Paths._sweep, list[int]()

    def limited(paths: Paths, placed: Any, part: Sequence[int]) -> Any:
        if len(part) > 16:
            refused.append(len(part))
            raise torch.OutOfMemoryError("played")
        return sweep(paths, placed, part)

    with patch.object(Paths, "_sweep", limited):
        yield lambda: len(refused)


@contextmanager
def _scarce_gpu() -> Iterator[Callable[[], int]]:
    """The process may hold 256 MiB more than it does."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**28) / total)
    before = torch.cuda.memory_stats()["num_ooms"]
    try:
        yield lambda: int(torch.cuda.memory_stats()["num_ooms"] - before)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def _run_marked(folders: list[str]) -> tuple[int, int, list[str], list[str]]:
    """Exit code, number of passed tests, names of skipped and of failed ones."""
    tally = Tally()
    code = pytest.main(["-m", "cuda", "-q", "-p", "no:cacheprovider", *folders], plugins=[tally])
    return int(code), tally.passed, tally.skipped, tally.failed


def _tf32_is_on() -> bool:
    return bool(torch.backends.cuda.matmul.allow_tf32)


def _differences(model: str, device: str) -> dict[str, float]:
    here, there = (Case(model=model, n_rows=2, device=d).load() for d in ("cpu", device))
    fine = {"tolerance": 1e-3}
    return {
        "float32": _largest_difference(explain(*there, n_points=16), explain(*here, n_points=16)),
        "reduced": _largest_difference(explain(*there, **fine, reduced=True), explain(*there, **fine)),
    }


def _largest_difference(got: list[Attribution], expected: list[Attribution]) -> float:
    """Σ|a − b| / Σ|b| of the map, the largest of the rows."""
    pairs = zip(got, expected, strict=True)
    return max(float(np.abs(a.values - b.values).sum() / np.abs(b.values).sum()) for a, b in pairs)


def _share_of_peak(loaded: Loaded, device: str, reduced: bool, dtype: torch.dtype) -> float:
    work = lambda: explain(*loaded, reduced=reduced)  # noqa: E731
    operations, _ = matmul_operations(work)
    return operations / min(timed(work, device)[0] for _ in range(2)) / matmul_peak(dtype, device)


def _expected_and_measured(device: str, model: str, n_rows: int) -> tuple[int, int]:
    """Bytes."""
    with TemporaryDirectory() as folder:
        BUILT_IN[model].save(Path(folder))
        snapshot, config = snapshot_of(Path(folder)), AttributionConfig(device=device)
        examples = [Example(row=i, id=str(i), text=text) for i, text in enumerate(BUILT_IN[model].items(n_rows))]
        expected = estimate(snapshot, examples, config).peak_bytes
        peak_memory_increase(lambda: attribute_examples(snapshot, examples, config, None), device)
        return expected, torch.cuda.max_memory_allocated() if device == "cuda" else peak_resident_bytes()


def _fastest(session: Callable[[Arrays], Any], arrays: Arrays) -> float:
    """Seconds of the fastest of three runs; each gives its logits to the CPU, so that nothing is left to wait for."""
    return min(timed(lambda: session(arrays), "cpu")[0] for _ in range(3))


def _batch(rows: int, length: int) -> Arrays:
    ids = np.random.default_rng(0).integers(5, 60, size=(rows, length))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}

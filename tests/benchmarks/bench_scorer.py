"""ONNX Runtime against torch eager on the inputs that the quality step makes of real rows. `make bench-scorer`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import onnxruntime
import torch
import typer
from rich.console import Console
from rich.table import Table

from components.scoring import TokenScorer, open_scorer
from tests.benchmarks.bench_engine import LimitOption, ModelOption, NameOption, RowsOption, ThreadsOption, command, today
from tests.benchmarks.cases import BUILT_IN, Case
from tests.benchmarks.machine import describe, timed
from tests.benchmarks.perturbed import perturbed_inputs
from tests.helpers.snapshots import snapshot_of

RESULTS = Path(__file__).parent / "results" / "scorer.json"
_DEFAULT = ("tiny", "vit-base-shape")

RepeatsOption = Annotated[int, typer.Option(min=1, help="Timed runs of each side, in turns; the median counts.")]


def bench(
    *,
    model: ModelOption = None,
    rows: RowsOption = None,
    name: NameOption = None,
    limit: LimitOption = None,
    threads: ThreadsOption = None,
    repeats: RepeatsOption = 5,
    output: Path = RESULTS,
) -> None:
    """Score the same batches by both runtimes with the same threads; write JSON and print a table."""
    torch.set_num_threads(threads or torch.get_num_threads())
    cases = [Case(model=m, n_rows=limit if m not in BUILT_IN else None, rows=rows, name=name) for m in model or _DEFAULT]
    with Console().status("measuring …"):
        measured = [measure(case, repeats) for case in cases]
    # what else ran meanwhile: about as many as the threads is a machine of our own
    machine = describe() | {"onnxruntime": onnxruntime.__version__, "load_average_1_min": os.getloadavg()[0]}
    asked = command("bench_scorer", cases, f"--repeats {repeats}", threads)
    report = {"command": asked, "date": today(), "machine": machine, "cases": measured}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    Console().print(table(measured))


def measure(case: Case, repeats: int) -> dict[str, Any]:
    """One case's entry of the results; `ratio` is ONNX Runtime's inputs per second over torch's: higher is better."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = folder / "model" if case.model in BUILT_IN else Path(case.model)
        if case.model in BUILT_IN:
            BUILT_IN[case.model].save(model)
        snapshot = snapshot_of(model)
        whole, inputs = perturbed_inputs(case.load(), folder)
        ours, record = open_scorer(snapshot, runtime="onnxruntime", workspace=folder, parity_inputs=whole)
        torch_eager, _ = open_scorer(snapshot, runtime="torch", workspace=folder, parity_inputs=whole)
        seconds, gap = _in_turns(ours, torch_eager, inputs, repeats)
    return {
        "model": case.title,
        "rows": len(whole),
        "inputs": len(inputs),
        "mean_tokens": float(np.mean([ours.length(item) for item in inputs])),
        "providers": record.providers,
        "ratio": median(seconds["torch"]) / median(seconds["onnxruntime"]),
        "inputs_per_second": {runtime: len(inputs) / median(s) for runtime, s in seconds.items()},
        "seconds": seconds,
        "parity_max_abs": record.parity_max_abs,
        "perturbed_max_abs": gap,
    }


def table(measured: list[dict[str, Any]]) -> Table:
    """The measurements to read at a glance; × is how many times faster ONNX Runtime is."""
    result = Table("model", "inputs", "mean tokens", "ONNX Runtime, inputs/s", "torch eager, inputs/s", "×", "|logit difference|")
    for c in measured:
        speed = c["inputs_per_second"]
        shown = f"{speed['onnxruntime']:.0f}", f"{speed['torch']:.0f}", f"{c['ratio']:.2f}", f"{c['perturbed_max_abs']:.0e}"
        result.add_row(c["model"], str(c["inputs"]), f"{c['mean_tokens']:.0f}", *shown)
    return result


def _in_turns(
    ours: TokenScorer, torch_eager: TokenScorer, inputs: list[Any], repeats: int
) -> tuple[dict[str, list[float]], float]:
    """Seconds of every run of each side, after one that does not count, and the largest |logit difference| between them."""
    sides = {"onnxruntime": ours, "torch": torch_eager}
    first = {name: scorer.logits(inputs) for name, scorer in sides.items()}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, scorer in sides.items():
            seconds[name].append(timed(lambda scorer=scorer: scorer.logits(inputs), "cpu")[0])  # type: ignore[misc]
    return seconds, float(np.abs(first["onnxruntime"] - first["torch"]).max())


if __name__ == "__main__":
    typer.run(bench)

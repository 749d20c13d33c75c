"""What fewer points cost the attempt to falsify the maps: its numbers beside those of maps at the run's own tolerance."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from components.attribution import explain_shard, falsify
from schemas.config import AttributionConfig, QualityConfig
from schemas.quality import Falsification
from schemas.release import Example, ModelSnapshot
from tests.benchmarks.bench_release import RESULTS
from tests.benchmarks.bench_scale import examples_of, write_part
from tests.benchmarks.machine import worked
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_models import save_tiny_bert

POINTS = (2, 3, 4)

ModelOption = Annotated[Path | None, typer.Option(help="Folder of a text classifier. Default: a seeded tiny one.")]
RowsOption = Annotated[Path | None, typer.Option(help="JSONL file with a text in every line. Default: seeded words.")]


def bench(*, model: ModelOption = None, rows: RowsOption = None, name: str = "tiny", n: int = 16, output: Path = RESULTS) -> None:
    """Try to falsify the maps of `n` rows by few points and by the run's own; write JSON and print a table."""
    with TemporaryDirectory() as folder, Console(stderr=True).status("measuring …"):
        snapshot = snapshot_of(model or save_tiny_bert(Path(folder) / "model"))
        cases = measure(snapshot, examples_of(rows, n), Path(folder))
    write_part(output, "falsification", {"model": name, "rows": n, "cases": cases})
    Console().print(table(cases))


def measure(snapshot: ModelSnapshot, examples: list[Example], folder: Path) -> list[dict[str, Any]]:
    """Processor seconds by number of points, and the largest differences to the run's own number of them (None)."""
    settings = AttributionConfig(device="cpu")
    path = explain_shard(snapshot, examples, settings, index=0, path=folder / "rows.parquet").path
    cases: list[dict[str, Any]] = []
    exact = None
    for points in (None, *POINTS):
        quality = QualityConfig(falsification_rows=len(examples), falsification_points=points)
        seconds, found = worked(lambda q=quality: falsify(snapshot, examples, [path], settings=settings, quality=q), "cpu")
        exact = exact or found
        cases.append({"points": points, "cpu_seconds": seconds, **differences(found, exact)})
    return cases


def differences(found: Falsification, exact: Falsification) -> dict[str, float]:
    """Means and how far they are from the exact ones; the standard error of a stage's mean says what that is beside chance."""
    sensitivity, exact_sensitivity = (_numbers([[row.max_sensitivity] for row in of.rows]) for of in (found, exact))
    stages, exact_stages = (_numbers([row.absolute for row in of.rows]) for of in (found, exact))
    error = np.nanstd(exact_stages, axis=0, ddof=1) / np.sqrt((~np.isnan(exact_stages)).sum(0))
    return {
        "max_sensitivity": float(np.nanmean(sensitivity)),
        "max_sensitivity_largest_change": float(np.nanmax(np.abs(sensitivity - exact_sensitivity))),
        "randomised_correlation": float(np.nanmean(stages[:, -1])),
        "stage_mean_largest_change": float(np.abs(np.nanmean(stages - exact_stages, axis=0)).max()),
        "stage_mean_standard_error": float(error.mean()),
    }


def _numbers(rows: list[Any]) -> NDArray[np.float64]:
    return np.array(rows, dtype=np.float64)  # None becomes NaN


def table(cases: list[dict[str, Any]]) -> Table:
    """The cases side by side."""
    names = list(cases[0])
    result = Table(*(name.replace("_", " ") for name in names))
    for case in cases:
        result.add_row(*("as needed" if case[name] is None else f"{case[name]:.4g}" for name in names))
    return result


if __name__ == "__main__":
    typer.run(bench)

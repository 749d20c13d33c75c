"""Rows per second with 1, 2 and 4 workers on every engine, through Prefect as the pipeline runs them. `make bench-workers`."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from flows.common.process import prepare
from schemas.config import AttributionConfig, ExecutionConfig, PipelineConfig
from tests.benchmarks.bench_scale import RESULTS, examples_of, write_part
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_models import save_tiny_bert

ENGINES = ("threads", "processes", "dask", "ray")

EnginesOption = Annotated[list[str] | None, typer.Option(help="Engines. Default: all that are installed.")]
WorkersOption = Annotated[list[int] | None, typer.Option(help="Numbers of workers. Default: 1, 2, 4.")]


def bench(
    *,
    engines: EnginesOption = None,
    workers: WorkersOption = None,
    shards: Annotated[int, typer.Option(help="Shards per measurement.")] = 12,
    rows: Annotated[int, typer.Option(help="Rows per shard.")] = 128,
    output: Path = RESULTS,
) -> None:
    """Explain the same shards of the tiny model on every engine; write JSON beside the other scale figures, print a table."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        prepare(debug=False, tracking_uri=None, output=folder, offline=True)
        _write_rows(folder / "rows.jsonl", shards * rows)
        save_tiny_bert(folder / "model")
        measured: list[dict[str, Any]] = []
        for engine, n in product(engines or [engine for engine in ENGINES if _installed(engine)], workers or (1, 2, 4)):
            measured.append(measure(folder, engine, n, shards, rows))
            write_part(output, "workers", {"rows_per_shard": rows, "shards": shards, "cases": measured})
    Console().print(table(measured))


def measure(folder: Path, engine: str, workers: int, shards: int, rows: int) -> dict[str, Any]:
    """Seconds until the first shard was written, and rows per second from then on: starting is paid once per release."""
    from prefect import flow

    from components import attribution, datasets
    from flows.execution.exchange import upload_inputs
    from flows.pipeline.attribute import explain_shards
    from schemas.planned_release import Release

    snapshot = snapshot_of(folder / "model")
    settings = AttributionConfig(device="cpu", shard_rows=rows)
    release = Release(
        snapshot=snapshot,
        dataset=datasets.load(folder / "rows.jsonl", limit=None, labels=snapshot.labels, modality="text")[0],
        config=PipelineConfig(attribution=settings, execution=ExecutionConfig(engine=engine, workers=workers)),
        fusion_choice=None,
        suite_digest=None,
        method_fingerprint=attribution.method_fingerprint(settings),
        reference=None,
        without_reference=None,
        output=folder / f"{engine}-{workers}",
    )

    @flow(name="bench-workers")
    def explained() -> None:
        upload_inputs(release, range(shards))
        explain_shards(release, range(shards), force=True)

    started = time()
    explained()
    written = sorted(release.shard_path(index).stat().st_mtime for index in range(shards))
    rate = rows * (shards - 1) / (written[-1] - written[0])
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    return {
        "engine": engine,
        "workers": workers,
        "start_seconds": written[0] - started,
        "rows_per_second": rate,
        "load_per_core": load,
    }


def table(measured: list[dict[str, Any]]) -> Table:
    """The measurements to read at a glance: each engine against itself with one worker."""
    result = Table("engine", "workers", "s to the first shard", "rows per s", "times one worker")
    for case in measured:
        alone = next(c for c in measured if c["engine"] == case["engine"])["rows_per_second"]
        figures = (f"{case['start_seconds']:.1f}", f"{case['rows_per_second']:.0f}", f"{case['rows_per_second'] / alone:.2f}")
        result.add_row(case["engine"], str(case["workers"]), *figures)
    return result


def _write_rows(path: Path, n: int) -> None:
    path.write_text("".join(json.dumps({"id": e.id, "text": e.text}) + "\n" for e in examples_of(None, n)), encoding="utf-8")


def _installed(engine: str) -> bool:
    return engine in {"threads", "processes"} or find_spec(f"prefect_{engine}") is not None


if __name__ == "__main__":
    typer.run(bench)

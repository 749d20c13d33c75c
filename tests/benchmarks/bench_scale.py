"""Time, memory and the estimate beforehand as rows grow: shards as the pipeline computes them. `make bench-scale`."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from components.attribution import estimate, explain_shard
from components.common.memory import peak_resident_bytes
from schemas.config import AttributionConfig
from schemas.release import Example, ModelSnapshot
from tests.benchmarks.machine import describe, in_child, peak_memory_increase
from tests.benchmarks.stages import SLOW_STAGES, STAGES, exponents, measure_stage, prepare
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_models import WORDS, save_tiny_bert

RESULTS = Path(__file__).parent / "results" / "scale.json"
_LONGEST = 40
_STAGE_SIZES = (10_000, 100_000)

SizesOption = Annotated[list[int] | None, typer.Option(help="Numbers of rows. Default: 1250, 2500, 5000, 10000.")]
StageSizesOption = Annotated[list[int] | None, typer.Option(help="The same for the steps around it. Default: 10000, 100000.")]
StagesOption = Annotated[list[str] | None, typer.Option("--stage", help="Only these steps, without attribution. Default: all.")]
ModelOption = Annotated[Path | None, typer.Option(help="Folder of a text classifier. Default: a seeded tiny one.")]
RowsOption = Annotated[Path | None, typer.Option(help="JSONL file with a text in every line. Default: seeded words.")]
NameOption = Annotated[str, typer.Option(help="What results call the model.")]


def bench(
    *,
    sizes: SizesOption = None,
    model: ModelOption = None,
    rows: RowsOption = None,
    name: NameOption = "tiny",
    stage_sizes: StageSizesOption = None,
    stages: StagesOption = None,
    output: Path = RESULTS,
) -> None:
    """Explain more and more rows, each number in a process of its own, then the steps around it; write JSON and print tables."""
    if not stages:
        measured = _attributed(model, rows, sizes or [1250, 2500, 5000, 10000])
        for part, content in (("model", name), ("machine", describe()), ("cases", measured)):
            write_part(output, part, content)
        Console().print(table(measured))
    later = _around(stages or list(STAGES), stage_sizes or list(_STAGE_SIZES), output)
    Console().print(stage_table(later))


def _attributed(model: Path | None, rows: Path | None, sizes: list[int]) -> list[dict[str, Any]]:
    with TemporaryDirectory() as folder, Console().status("measuring …"):
        source = model or save_tiny_bert(Path(folder) / "model")
        return [in_child(measure, source, rows, n) for n in sizes]


def _around(stages: list[str], sizes: list[int], output: Path) -> list[dict[str, Any]]:
    """The steps around attribution, each in a process of its own; what was measured of other steps stays in `output`."""
    known = json.loads(output.read_text(encoding="utf-8")) if output.exists() else {}
    later = [case for case in known.get("later_stages", {}).get("cases", []) if case["stage"] not in stages]
    plan = [(stage, n // 10 if stage in SLOW_STAGES else n) for n in sizes for stage in stages]
    for n in sorted({n for _, n in plan}):
        with TemporaryDirectory() as folder, Console().status(f"{n} rows …"):
            in_child(prepare, examples_of(None, 256), n, Path(folder))
            for stage in (stage for stage, of_stage in plan if of_stage == n):
                later.append(in_child(measure_stage, stage, Path(folder), n))
                part = {"model": "tiny", "machine": describe(), "exponents": exponents(later), "cases": later}
                write_part(output, "later_stages", part)
    return later


def write_part(output: Path, name: str, content: Any) -> None:
    """Put one part into the results file; the others stay."""
    report = json.loads(output.read_text(encoding="utf-8")) if output.exists() else {}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report | {name: content}, indent=2) + "\n", encoding="utf-8")


def measure(model: Path, rows: Path | None, n: int) -> dict[str, Any]:
    """Seconds and bytes for `n` rows, and what was expected before as a share of them: one is a perfect estimate."""
    snapshot, examples, config = snapshot_of(model), examples_of(rows, n), AttributionConfig(device="cpu")
    expected = estimate(snapshot, examples, config)
    with TemporaryDirectory() as folder:
        started = perf_counter()
        peak = peak_memory_increase(lambda: _explain(snapshot, examples, config, Path(folder)), "cpu")
        seconds = perf_counter() - started
    return {
        "rows": n,
        "seconds": seconds,
        "expected_seconds_ratio": expected.seconds / seconds,
        "peak_increase_mb": peak / 1e6,
        "expected_peak_ratio": expected.peak_bytes / peak_resident_bytes(),
    }


def table(measured: list[dict[str, Any]]) -> Table:
    """The measurements to read at a glance."""
    result = Table(
        "rows", "seconds", "ms per row", "expected / measured", "peak memory, MB more than before", "expected / measured peak"
    )
    for c in measured:
        figures = (c["seconds"], 1e3 * c["seconds"] / c["rows"], *(c[name] for name in list(c)[2:]))
        result.add_row(str(c["rows"]), *(f"{v:{f}}" for v, f in zip(figures, (".1f", ".1f", ".2f", ".0f", ".2f"), strict=True)))
    return result


def stage_table(measured: list[dict[str, Any]]) -> Table:
    """Time and peak memory of the steps around attribution."""
    result = Table("step", "rows", "CPU seconds", "peak memory, MB more than before")
    for c in measured:
        result.add_row(c["stage"], str(c["rows"]), f"{c.get('cpu_seconds', c['seconds']):.1f}", f"{c['peak_increase_mb']:.0f}")
    return result


def _explain(snapshot: ModelSnapshot, examples: list[Example], config: AttributionConfig, folder: Path) -> None:
    for index, start in enumerate(range(0, len(examples), config.shard_rows)):
        part = examples[start : start + config.shard_rows]
        explain_shard(snapshot, part, config, index=index, path=folder / f"{index}.parquet")


def examples_of(rows: Path | None, n: int) -> list[Example]:
    """The first `n` texts of a file, or seeded ones."""
    if rows is None:
        random = np.random.default_rng(0)
        texts = [" ".join(random.choice(WORDS, random.integers(3, _LONGEST))) for _ in range(n)]
    else:
        with rows.open(encoding="utf-8") as lines:
            texts = [json.loads(line)["text"] for line in islice(lines, n)]
    return [Example(row=i, id=str(i), text=text) for i, text in enumerate(texts)]


if __name__ == "__main__":
    typer.run(bench)

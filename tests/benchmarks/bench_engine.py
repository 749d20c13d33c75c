"""The engine against a loop of Captum: same process, rows, threads and residual. `make bench-engine`."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from tests.benchmarks.cases import BUILT_IN, DEFAULT, Case
from tests.benchmarks.comparison import measure
from tests.benchmarks.machine import describe

RESULTS = Path(__file__).parent / "results" / "engine.json"

#: Columns of text when nobody's terminal says how many there are.
_PIPED_WIDTH = 120

ModelOption = Annotated[
    list[str] | None,
    typer.Option(help=f"A folder with a fine-tuned classifier, or one of {', '.join(BUILT_IN)}. Default: all but the last."),
]
RowsOption = Annotated[Path | None, typer.Option(help="JSONL file with a text in every line, for a model folder.")]
NameOption = Annotated[str | None, typer.Option(help="What results call the model folder. Default: the folder's name.")]
LimitOption = Annotated[
    int | None, typer.Option(min=1, help="Rows to use. Default: the first 24 of the file; the case's own number.")
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="Default: PyTorch's choice.")]
RepeatsOption = Annotated[int, typer.Option(min=1, help="Timed runs of each side; the fastest counts.")]


def bench(
    *,
    model: ModelOption = None,
    rows: RowsOption = None,
    name: NameOption = None,
    limit: LimitOption = None,
    dtype: str = "float32",
    device: str = "cpu",
    threads: ThreadsOption = None,
    repeats: RepeatsOption = 2,
    output: Path = RESULTS,
) -> None:
    """Measure the engine and Captum on each model; write JSON and print a table."""
    torch.set_num_threads(threads or torch.get_num_threads())
    cases = [Case(model=m, n_rows=limit, rows=rows, name=name, dtype=dtype, device=device) for m in model or DEFAULT]
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    measured: list[dict[str, Any]] = []
    asked = command("bench_engine", cases, f"--device {device} --dtype {dtype} --repeats {repeats}", threads)
    report = {"command": asked, "date": today(), "machine": describe(), "cases": measured}
    for case in cases:
        with console.status(f"{case.title} …"):
            measured.append(measure(case, repeats))
        _write(output, report)
    console.print(table(measured), *(c["note"] for c in measured if c["note"]), sep="\n")


def table(measured: list[dict[str, Any]]) -> Table:
    """The measurements to read at a glance; × is how many times faster the engine is."""
    result = Table(title="Engine against a loop of Captum over all layers")
    columns = (
        "model",
        "rows",
        "× at 50 points",
        "× at equal residual",
        "its points",
        "× at equal error",
        "its points",
        "our points",
        "p95 residual",
        "of peak",
        "memory",
    )
    for column in columns:
        result.add_column(column, justify="left" if column == "model" else "right", no_wrap=column == "model")
    for c in measured:
        figures = (c["mean_points"], c["residual_p95"], c["matmul_share"], c["peak_memory_ratio"])
        shown = [f"{v:{form}}" for v, form in zip(figures, (".1f", ".2%", ".0%", ".1f"), strict=True)]
        equal = [text for what in ("residual", "error") for text in _at_equal(c, what)]
        result.add_row(c["model"], str(c["rows"]), f"{c['ratio_vs_captum_50']:.2f}", *equal, *shown)
    return result


def _at_equal(case: dict[str, Any], what: str) -> tuple[str, str]:
    """How many times faster at an equal residual or attribution error, and with how many points the peer got there."""
    ratio, points = case[f"ratio_at_equal_{what}"], case[f"captum_points_at_equal_{what}"]
    return "—" if ratio is None else f"{ratio:.2f}", str(points or "—")


def _write(output: Path, report: dict[str, Any]) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def today() -> str:
    """The date in UTC, as results give it."""
    return datetime.now(UTC).date().isoformat()


def command(module: str, cases: list[Case], options: str, threads: int | None) -> str:
    """What was asked for, in names only: results are kept with the source, where paths of one machine mean nothing."""
    words = [f"python -m tests.benchmarks.{module}", *(f"--model {case.title}" for case in cases)]
    words += [f"--rows {case.rows.name}" for case in cases[:1] if case.rows]
    words += [f"--limit {case.n_rows}" for case in cases[:1] if case.n_rows]
    return " ".join([*words, options] + ([f"--threads {threads}"] if threads else []))


if __name__ == "__main__":
    typer.run(bench)

"""False alarms and detections of drift and probe over many pairs of versions, beside other tools. `make bench-drift`."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from schemas.base import digest_of
from schemas.config import AttributionConfig, PipelineConfig
from tests.benchmarks.drift.cells import Cell
from tests.benchmarks.drift.judging import judge
from tests.benchmarks.drift.plan import N_CELLS, Pair, pairs
from tests.benchmarks.drift.summary import summarise
from tests.benchmarks.drift.versions import Versions
from tests.benchmarks.machine import describe

RESULTS = Path(__file__).parent / "results" / "drift.json"
WORK = Path("build/drift")

PairsOption = Annotated[int | None, typer.Option("--pairs", min=1, help="Only the first pairs of the plan. Default: all.")]
WorkOption = Annotated[Path, typer.Option(help="Where versions, tables and finished pairs are kept; a later run goes on there.")]
DrawOption = Annotated[int, typer.Option(min=0, help="Seeds of data, words and versions: other draws share none.")]
CellsOption = Annotated[int, typer.Option(min=1, help="Data sets with a reference version each.")]

FinishedOption = Annotated[bool, typer.Option("--finished", help="Report the pairs that earlier runs have finished; make none.")]


def bench(
    *,
    n_pairs: PairsOption = None,
    work: WorkOption = WORK,
    draw: DrawOption = 0,
    cells: CellsOption = N_CELLS,
    finished: FinishedOption = False,
    output: Path = RESULTS,
) -> None:
    """Make the versions, judge every pair, write JSON and print a table."""
    torch.set_num_threads(1)  # these models are too small for more, and one thread gives the same weights again
    _quieten()
    planned = list(islice(pairs(cells), n_pairs))
    lines = list(track(judged(planned, work / f"draw-{draw}", draw, make=not finished), total=len(planned), description="pairs"))
    report = {"command": f"python -m tests.benchmarks.bench_drift --draw {draw} --cells {cells}", "date": _today()}
    report |= {"machine": describe(), "seconds": round(sum(line["seconds"] for line in lines))} | summarise(lines)
    report |= {"planned": len(planned), "judged": len(lines)}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(_written(report, lines), encoding="utf-8")
    Console(width=120).print(table(report))


def judged(
    planned: Sequence[Pair], folder: Path, draw: int, *, make: bool = True, n_twins: int = 2, **sizes: int
) -> Iterator[dict[str, Any]]:
    """The line of each pair, from `folder/pairs.jsonl` if an earlier run with these settings left it.

    make: whether the other pairs are made, or left out; sizes: of the cells.
    """
    config = PipelineConfig(attribution=AttributionConfig(device="cpu"))
    settings = digest_of(config.model_dump(mode="json") | sizes | {"twins": n_twins})
    done, cells = _finished(folder / "pairs.jsonl", settings), dict[int, Versions]()
    for pair in planned:
        if pair.key not in done and make:
            cell, own = Cell(pair.cell, draw, **sizes), folder / f"cell-{pair.cell}"
            versions = cells.setdefault(pair.cell, Versions(cell, own, config.attribution, n_twins=n_twins))
            started = perf_counter()
            line = judge(pair, versions, config, _today())
            done[pair.key] = line | {"seconds": perf_counter() - started, "settings": settings}
            with (folder / "pairs.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(done[pair.key]) + "\n")
        if pair.key in done:
            yield done[pair.key]


def table(report: dict[str, Any]) -> Table:
    """The detectors side by side."""
    result = Table("detector", "false alarms", "detected", title="Drift between versions: harmless and harmful pairs")
    rows = {"calig: drift or probe fails": report, "the same, noise measured on twins": report["with_twins"]}
    rows |= {"the same, probe's noise measured on earlier versions": report["with_history"]}
    rows |= {f"  {part} alone": counts for part, counts in report["parts"].items()}
    for name, counts in (rows | report["peers"]).items():
        shares = [(counts["false_alarms"], counts["harmless"]), (counts["detected"], counts["harmful"])]
        result.add_row(name, *(f"{hits} of {n} ({hits / n:.0%})" if n else "—" for hits, n in shares))
    return result


def _finished(path: Path, settings: str) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        return {}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {line["key"]: line for line in lines if line["settings"] == settings}


def _written(report: dict[str, Any], lines: Sequence[dict[str, Any]]) -> str:
    """The report with one line per pair."""
    head = json.dumps(report, indent=2)[:-2]
    return head + ',\n  "pairs": [\n    ' + ",\n    ".join(map(json.dumps, lines)) + "\n  ]\n}\n"


def _quieten() -> None:
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


if __name__ == "__main__":
    typer.run(bench)

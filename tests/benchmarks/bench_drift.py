"""False alarms and detections of drift and probe over many pairs of versions, beside other tools. `make bench-drift`."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby, islice
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from schemas.base import digest_of
from schemas.config import AttributionConfig, PipelineConfig, ProbeConfig
from tests.benchmarks.drift.cells import Cell
from tests.benchmarks.drift.comparing import CONDITIONS
from tests.benchmarks.drift.finished import Finished
from tests.benchmarks.drift.judging import judge
from tests.benchmarks.drift.plan import N_CELLS, Pair, pairs
from tests.benchmarks.drift.pretrained import judged_pretrained
from tests.benchmarks.drift.summary import summarise
from tests.benchmarks.drift.versions import Versions
from tests.benchmarks.machine import describe

RESULTS = Path(__file__).parent / "results" / "drift.json"
WORK = Path("build/drift")

#: The product's own settings. The size of a batch changes no value; this one suits such small models.
CONFIG = PipelineConfig(attribution=AttributionConfig(device="cpu", batch_tokens=8192))

#: For pretrained models: as many words as take minutes; fewer words lower the probe's limit a little.
PRETRAINED_CONFIG = PipelineConfig(attribution=AttributionConfig(device="cpu"), probe=ProbeConfig(max_words=3000))

PairsOption = Annotated[int | None, typer.Option("--pairs", min=1, help="Only the first pairs of the plan. Default: all.")]
WorkOption = Annotated[Path, typer.Option(help="Where versions, tables and finished pairs are kept; a later run goes on there.")]
DrawOption = Annotated[int, typer.Option(min=0, help="Seeds of data, words and versions: other draws share none.")]
CellsOption = Annotated[int, typer.Option(min=1, help="Data sets with a reference version each.")]

FinishedOption = Annotated[bool, typer.Option("--finished", help="Report the pairs that earlier runs have finished; make none.")]
OnlyOption = Annotated[
    list[int] | None, typer.Option("--only", help="Make pairs of this cell only, so that several runs can share the work.")
]
PretrainedOption = Annotated[
    list[Path] | None,
    typer.Option("--pretrained", help="JSON file that names trainings of a pretrained model and rows; see drift/pretrained.py."),
]


def bench(
    *,
    n_pairs: PairsOption = None,
    work: WorkOption = WORK,
    draw: DrawOption = 0,
    cells: CellsOption = N_CELLS,
    only: OnlyOption = None,
    finished: FinishedOption = False,
    pretrained: PretrainedOption = None,
    output: Path = RESULTS,
) -> None:
    """Make the versions, judge every pair, write JSON and print tables."""
    torch.set_num_threads(1)  # these models are too small for more, and one thread gives the same weights again
    _quieten()
    planned = [pair for pair in islice(pairs(cells), n_pairs) if not only or pair.cell in only]
    lines = list(track(judged(planned, work / f"draw-{draw}", draw, make=not finished), total=len(planned), description="pairs"))
    report = {"command": f"python -m tests.benchmarks.bench_drift --draw {draw} --cells {cells}", "date": _today()}
    report |= {"machine": describe(), "processor_seconds": round(sum(line["seconds"] for line in lines))} | summarise(lines)
    report |= {"planned": len(planned), "judged": len(lines)}
    found = [judged_pretrained(path, work / "pretrained", PRETRAINED_CONFIG, _today()) for path in pretrained or []]
    report |= {"pretrained": [summary for summary, _ in found]}
    lines += [line for _, some in found for line in some]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(_written(report, lines), encoding="utf-8")
    _print(report)


def judged(
    planned: Sequence[Pair], folder: Path, draw: int, *, make: bool = True, n_twins: int = 2, **sizes: int
) -> Iterator[dict[str, Any]]:
    """The line of each pair, from the cell's folder if an earlier run with these settings left it.

    make: whether the other pairs are made, or left out; sizes: of the cells.
    """
    settings = digest_of(CONFIG.model_dump(mode="json") | sizes | {"twins": n_twins})
    for number, some in groupby(planned, lambda pair: pair.cell):
        own = folder / f"cell-{number}"
        finished = Finished(own / "pairs.jsonl", settings)
        versions = Versions(Cell(number, draw, **sizes), own, CONFIG.attribution, n_twins=n_twins)
        for pair in some:
            if pair.key in finished or make:
                yield finished.line(pair.key, lambda pair=pair, versions=versions: judge(pair, versions, CONFIG, _today()))


def table(report: dict[str, Any]) -> Table:
    """The detectors side by side."""
    result = Table("detector", "false alarms", "found", title="Drift between versions: honest retrainings and planted changes")
    rows: dict[str, Any] = {}
    for condition, counts in report["conditions"].items():
        rows |= {f"calig, noise measured on {condition}": counts}
        rows |= {f"  {part} alone, {condition}": some for part, some in counts["alone"].items()}
    for name, counts in (rows | report["peers"]).items():
        shares = [(counts["false_alarms"], counts["retrainings"]), (counts["detected"], counts["planted"])]
        result.add_row(name, *(f"{hits} of {n} ({hits / n:.0%})" if n else "—" for hits, n in shares))
    return result


def kinds_table(report: dict[str, Any]) -> Table:
    """Alarms kind by kind."""
    result = Table("group", "kind", "pairs", *CONDITIONS, title="Alarms of drift and probe together")
    for kind, found in sorted(report["kinds"].items(), key=lambda item: item[1]["group"]):
        result.add_row(found["group"], kind, str(found["pairs"]), *(str(found["alarms"][c]) for c in CONDITIONS))
    return result


def _written(report: dict[str, Any], lines: Sequence[dict[str, Any]]) -> str:
    """The report with one line per pair."""
    head = json.dumps(report, indent=2)[:-2]
    return head + ',\n  "pairs": [\n    ' + ",\n    ".join(map(json.dumps, lines)) + "\n  ]\n}\n"


def _print(report: dict[str, Any]) -> None:
    for shown in (table(report), kinds_table(report)):
        Console(width=120).print(shown)
    for goal in report["goals"]:
        typer.echo(f"{'met' if goal['met'] else 'NOT MET'}: {goal['goal']} ({goal['share']})")
    for summary in report["pretrained"]:
        typer.echo(json.dumps(summary))


def _quieten() -> None:
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


if __name__ == "__main__":
    typer.run(bench)

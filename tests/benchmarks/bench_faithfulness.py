"""CA-LIG, the controls and other packages' methods on the same rows: whom does the model follow? `make bench-faithfulness`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from components.common.errors import InputError
from flows.common.progress import reporting
from tests.benchmarks.faithfulness.comparing import COMPARED
from tests.benchmarks.faithfulness.peers import missing_packages
from tests.benchmarks.faithfulness.running import Run, run_set
from tests.benchmarks.faithfulness.sets import BenchmarkSet, digits_set, planted_set, text_set
from tests.benchmarks.faithfulness.shapes import SHAPES, Training, finetuning
from tests.benchmarks.faithfulness.trained import read_source, run_plants, run_seeds

RESULTS = Path(__file__).parent / "results" / "faithfulness.json"
WORK = Path("build/faithfulness")

#: Columns of text when nobody's terminal says how many there are.
_PIPED_WIDTH = 150

TextOption = Annotated[
    list[str] | None,
    typer.Option(help="NAME=MODEL_FOLDER,ROWS_FILE: a fine-tuned classifier and rows with text, label and maybe rationale."),
]
PlantedOption = Annotated[
    list[str] | None,
    typer.Option(help="NAME=MODEL_FOLDER,ROWS_FILE,WORD,CLASS: a model whose shortcut to CLASS is known to be WORD."),
]
TrainOption = Annotated[
    Path | None,
    typer.Option(help="Texts with id, split, label and tokens: models of every shape are trained on them, here, and used."),
]
ShapeOption = Annotated[
    list[str] | None, typer.Option(help=f"Of the models trained from scratch; without any shape or encoder: {', '.join(SHAPES)}.")
]
PretrainedOption = Annotated[
    list[str] | None,
    typer.Option(help="NAME=FOLDER: a pretrained encoder, fine-tuned on them with words masked, and used like a shape."),
]
SeedsOption = Annotated[int, typer.Option(min=0, help="Trainings of every shape, each with rows of its own.")]
PlantSeedsOption = Annotated[int, typer.Option(min=0, help="Trainings of every shape with subtle plants.")]
DigitsOption = Annotated[bool, typer.Option(help="Train a small vision transformer on scikit-learn's digits, and use it.")]
RowsOption = Annotated[int, typer.Option(min=2, help="The first so many rows of every set.")]
GridOption = Annotated[bool, typer.Option(help="Also every fusion rule and coefficient of the grid.")]
WorkOption = Annotated[Path, typer.Option(help="Where finished rows are kept; a later run with the same settings goes on.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="Default: PyTorch's choice.")]


def bench(
    *,
    text: TextOption = None,
    planted: PlantedOption = None,
    train: TrainOption = None,
    shape: ShapeOption = None,
    pretrained: PretrainedOption = None,
    seeds: SeedsOption = 2,
    plant_seeds: PlantSeedsOption = 2,
    digits: DigitsOption = True,
    rows: RowsOption = 200,
    grid: GridOption = True,
    threads: ThreadsOption = None,
    work: WorkOption = WORK,
    output: Path = RESULTS,
) -> None:
    """Measure every set, write its results as soon as it is done, and print tables. Sets of an earlier run are kept."""
    torch.set_num_threads(threads or torch.get_num_threads())
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    with TemporaryDirectory() as folder, reporting() as reporter:
        run = Run(grid=grid, workspace=Path(folder), work=work, reporter=reporter)
        given = (run_set(opened, run) for opened in _sets(text or [], planted or [], run.workspace, rows, digits=digits))
        wanted = (shape or ([] if pretrained else list(SHAPES)), pretrained or [])
        made = _trained(train, wanted, (seeds, plant_seeds), rows, run) if train else ()
        for measured in chain(given, made):
            write(output, measured)
            shown = [table(measured, "methods"), further_table(measured)]
            console.print(*shown, *([table(measured, "grid")] if grid else []))


def _sets(texts: list[str], planted: list[str], folder: Path, rows: int, *, digits: bool) -> Iterator[BenchmarkSet]:
    """Opened one after the other: each holds a model in memory."""
    yield from (text_set(given, rows) for given in texts)
    yield from (planted_set(given, rows, folder) for given in planted)
    if digits:
        yield digits_set(folder, rows)


def _trained(
    train: Path, wanted: tuple[list[str], list[str]], seeds: tuple[int, int], rows: int, run: Run
) -> Iterator[dict[str, Any]]:
    """Of shapes and of pretrained encoders, both named by the user: seeds first, then plants."""
    source = read_source(train, run.work)
    shapes, encoders = wanted
    trainings = [Training(shape, 0, source.labels) for shape in shapes]
    trainings += [finetuning(*_named_folder(encoder), source.labels) for encoder in encoders]
    if seeds[0]:
        yield from (run_seeds(training, seeds[0], rows, source, run) for training in trainings)
    for training in trainings:
        yield from run_plants(training, seeds[1], rows, source, run)


def _named_folder(given: str) -> tuple[str, Path]:
    name, _, folder = given.partition("=")
    if not name or not Path(folder).is_dir():
        raise InputError("A pretrained encoder is described by two things.", got=given, allowed="NAME=FOLDER")
    return name, Path(folder)


def table(measured: dict[str, Any], part: str) -> Table:
    """The methods or the grid of one set; CA-LIG − method with its interval, above 0 CA-LIG is better."""
    accuracy = "" if measured["accuracy"] is None else f", accuracy {measured['accuracy']:.3f}"
    peers = ", ".join(f"{package} {version}" for package, version in measured["peers"].items())
    result = Table(title=f"{measured['name']}: {part}, {measured['n']} rows{accuracy}", caption=peers)
    compared = ("CA-LIG − method", "CA-LIG")
    for name in ("method", "comp − suff ↑", *compared, "AUPRC ↑", *compared, "token F1 ↑", "s/row"):
        result.add_column(name, justify="left" if name in ("method", "CA-LIG") else "right")
    for m in measured[part]:
        faithful = (_number(m["difference"], 4), _margin(m, "margin_of_ca_lig", "margin_interval"), m["verdict"])
        plausible = (_number(m.get("auprc")), _margin(m, "auprc_margin", "auprc_margin_interval"), m.get("auprc_verdict", "—"))
        result.add_row(m["name"], *faithful, *plausible, _number(m.get("token_f1")), _number(m.get("seconds_per_row")))
    return result


def further_table(measured: dict[str, Any]) -> Table:
    """Comprehensiveness − sufficiency under every removal, and agreement with the rationale by token, word and run of tokens."""
    measures = [name for name in COMPARED if name in measured["methods"][0]]
    result = Table(title=f"{measured['name']}: in brackets CA-LIG − method")
    result.add_column("method")
    for measure in measures:
        result.add_column(measure.replace("difference_", "").replace("difference", "replaced"), justify="right")
    for m in measured["methods"]:
        result.add_row(m["name"], *(_beside(m, measure) for measure in measures))
    return result


def _beside(method: dict[str, Any], measure: str) -> str:
    margin, interval, _ = COMPARED[measure]
    return f"{_number(method.get(measure))} ({_margin(method, margin, interval)})"


def write(output: Path, measured: dict[str, Any]) -> None:
    """Put the set's results into `output`, in the place of earlier ones of that name."""
    before = json.loads(output.read_text(encoding="utf-8"))["sets"] if output.exists() else []
    sets = {known["name"]: known for known in before} | {measured["name"]: measured}
    report = {"not_installed": missing_packages(), "sets": list(sets.values())}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _margin(method: dict[str, Any], margin: str, interval: str) -> str:
    if margin not in method:
        return "—"
    low, high = method[interval]
    return f"{method[margin]:+.4f} [{low:+.4f}, {high:+.4f}]"


def _number(value: float | None, digits: int = 3) -> str:
    return "—" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    typer.run(bench)

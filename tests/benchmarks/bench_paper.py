"""The paper's own table: agreement with people, comprehensiveness, sufficiency, perturbed images. `make bench-paper`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from flows.common.progress import reporting
from tests.benchmarks.bench_faithfulness import ThreadsOption, write
from tests.benchmarks.faithfulness.digits import save_pretrained_digits
from tests.benchmarks.faithfulness.prepare import prepare
from tests.benchmarks.faithfulness.removals import REPLACED
from tests.benchmarks.faithfulness.running import Run, run_set
from tests.benchmarks.faithfulness.sets import BenchmarkSet, open_set
from tests.benchmarks.faithfulness.shapes import Training, save_trained
from tests.benchmarks.faithfulness.trained import read_source

RESULTS = Path(__file__).parent / "results" / "paper.json"
WORK = Path("build/paper")

#: All test reviews.
_REVIEWS = 199
_MAX_TOKENS = 512
_PIPED_WIDTH = 170

#: Columns of texts and of images, with the direction in which a method is better.
_TEXT = {
    "token_f1": "token F1 ↑",
    "auprc": "AUPRC ↑",
    "span_f1": "span F1 ↑",
    "word_token_f1": "token F1 by word ↑",
    "word_auprc": "AUPRC by word ↑",
    "run_token_f1": "token F1 by 7 tokens ↑",
    "run_auprc": "AUPRC by 7 tokens ↑",
    "comprehensiveness": "comp. ↑",
    "sufficiency": "suff. ↓",
}
_IMAGE = {
    "positive_auc": "positive AUC ↓",
    "negative_auc": "negative AUC ↑",
    "perturbation_gap": "negative − positive ↑",
    "comprehensiveness": "comp. ↑",
    "sufficiency": "suff. ↓",
}

ReviewsOption = Annotated[
    Path | None, typer.Option(help="MovieReviews with human rationales: id, split, label, tokens, rationale.")
]
ModelOption = Annotated[Path | None, typer.Option(help="A classifier fine-tuned on them; without one a small one is trained.")]
RowsOption = Annotated[int, typer.Option(min=2, help="The first so many test reviews, in a seeded order.")]
ImagesOption = Annotated[int, typer.Option(min=0, help="Test images; 0: none.")]
WorkOption = Annotated[Path, typer.Option(help="Where finished rows and models are kept; a later run goes on.")]


def bench(
    *,
    reviews: ReviewsOption = None,
    model: ModelOption = None,
    rows: RowsOption = _REVIEWS,
    images: ImagesOption = _REVIEWS,
    threads: ThreadsOption = None,
    work: WorkOption = WORK,
    output: Path = RESULTS,
) -> None:
    """Measure reviews and images, write each as soon as it is done, and print the tables."""
    torch.set_num_threads(threads or torch.get_num_threads())
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    with TemporaryDirectory() as folder, reporting() as reporter:
        run = Run(grid=False, workspace=Path(folder), work=work, reporter=reporter)
        for given, needed in _sets(reviews, model, (rows, images), run):
            measured = run_set(given, needed)
            write(output, measured)
            console.print(paper_table(measured))


def _sets(reviews: Path | None, model: Path | None, limits: tuple[int, int], run: Run) -> Iterator[tuple[BenchmarkSet, Run]]:
    """Opened one after the other. The paper removes texts' content in one way."""
    if reviews is not None:
        yield _reviews(reviews, model, limits[0], run.work), replace(run, removals=(REPLACED,))
    if limits[1]:
        yield open_set("digits, masked autoencoder", *save_pretrained_digits(run.work / "digits"), limits[1]), run


def _reviews(path: Path, model: Path | None, rows: int, work: Path) -> BenchmarkSet:
    if model is None:
        source = read_source(path, work)
        training = Training("distilbert", 0, source.labels, max_length=_MAX_TOKENS)
        return open_set("movie reviews, small", save_trained(training, source.train, work / "models"), source.test_rows, rows)
    work.mkdir(parents=True, exist_ok=True)
    prepare(path, test := work / "reviews-test.jsonl")
    return open_set("movie reviews", model, test, rows)


def paper_table(measured: dict[str, Any]) -> Table:
    """Every method's means; in brackets CA-LIG − method where methods are ranked by the measure."""
    columns = _IMAGE if "perturbation_gap" in measured["methods"][0] else _TEXT
    result = Table(title=f"{measured['name']}, {measured['n']} rows ({measured['n_rationales']} with a rationale)")
    result.add_column("method")
    for title in columns.values():
        result.add_column(title, justify="right")
    for method in measured["methods"]:
        result.add_row(method["name"], *(_cell(method, measure) for measure in columns))
    return result


def _cell(method: dict[str, Any], measure: str) -> str:
    if measure not in method:
        return "—"
    margin = method.get(f"{measure}_margin")
    if margin is None:
        return f"{method[measure]:.3f}"
    low, high = method[f"{measure}_margin_interval"]
    return f"{method[measure]:.3f} ({margin:+.3f} [{low:+.3f}, {high:+.3f}])"


if __name__ == "__main__":
    typer.run(bench)

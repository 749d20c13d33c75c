"""What a whole `calig explain` costs by stage, on registered versions, with and without a reference. `make bench-release`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import islice
from os import getloadavg
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from components import registry
from components.demo import training
from components.demo.reviews import clean_reviews, validation_reviews
from tests.benchmarks.bench_scale import write_part
from tests.benchmarks.machine import describe
from tests.benchmarks.release_run import STAGES
from tests.helpers.tracking import connected

RESULTS = Path(__file__).parent / "results" / "release.json"
_NAME = "measured"
#: Judging and what follows: what a run costs beyond computing its attributions. The probe has its own number, since it grows with
#: words and not with rows.
AFTER = ("falsification", "quality", "drift", "record", "report", "logging", "other")

SizesOption = Annotated[list[int] | None, typer.Option(help="Numbers of rows. Default: 200 and 2000.")]
ModelOption = Annotated[Path | None, typer.Option(help="Folder of a text classifier. Default: the demo's, trained on the spot.")]
ReferenceOption = Annotated[
    Path | None, typer.Option(help="Folder of the version before, of the same classes. Default: as above.")
]
RowsOption = Annotated[Path | None, typer.Option(help="JSONL file with text and label in every line. Default: the demo's.")]
NameOption = Annotated[str, typer.Option(help="What results call model and rows.")]
WordsOption = Annotated[int, typer.Option(help="Words that the probe may score: the default of the settings is 30,000.")]


class Versions(NamedTuple):
    """What is registered and explained: the folders of both versions, and the rows."""

    reference: Path
    candidate: Path
    rows: Path


def bench(
    *,
    sizes: SizesOption = None,
    model: ModelOption = None,
    reference: ReferenceOption = None,
    rows: RowsOption = None,
    name: NameOption = "demo",
    words: WordsOption = 200,
    alone: Annotated[bool, typer.Option("--alone", help="Only without a reference.")] = False,
    output: Path = RESULTS,
) -> None:
    """Explain the candidate alone, then after its reference, in fresh processes and folders; write JSON and print a table."""
    if model is not None and reference is None and not alone:
        raise SystemExit(
            "equal weights share their tables, so a version is compared with others\nnext: --reference FOLDER, or --alone"
        )
    with TemporaryDirectory() as folder, Console(stderr=True).status("measuring …"):
        versions = _versions(Path(folder), model, reference, rows)
        os.environ |= {"PYTHONPYCACHEPREFIX": f"{folder}/bytecode", "PYTHONDONTWRITEBYTECODE": ""}
        measure(versions, 1, False, words, Path(folder) / "unmeasured")  # compiles what an installation has compiled
        cases = [
            measure(versions, n, against, words, Path(folder) / f"{n}-{against}")
            for n in sizes or (200, 2000)
            for against in ((False,) if alone else (False, True))
        ]
    report = {"model": name, "machine": describe(), "load": round(getloadavg()[0], 1), "probed_words": words, "cases": cases}
    for part, content in report.items():
        write_part(output, part, content)
    Console().print(table(cases))


def measure(versions: Versions, n: int, against: bool, words: int, folder: Path) -> dict[str, Any]:
    """Seconds by stage of one run on `n` rows, and what share of attribution's the rest of it is."""
    folder.mkdir()
    rows = _first_rows(versions.rows, n, folder / "rows.jsonl")
    store = f"sqlite:///{folder / 'mlflow.db'}"
    (folder / "config.yaml").write_text(f"probe:\n  max_words: {words}\n", encoding="utf-8")
    with connected(store):
        for number, version in enumerate((versions.reference, versions.candidate), start=1):
            registry.register(version, name=_NAME, experiment="models", tags={}, metrics={})
            if number == 1 and against:
                _explain(folder, store, rows, "1")
    found = _explain(folder, store, rows, "2", *(("--reference", f"models:/{_NAME}/1") if against else ()))
    return {"rows": n, "reference": against, **found, "after_attribution": share(found["stages"])}


def share(stages: dict[str, dict[str, float]]) -> float:
    """Processor seconds of all that comes after attribution, without the probe, as a share of attribution's own."""
    return sum(stages[stage]["cpu_seconds"] for stage in AFTER) / stages["attribution"]["cpu_seconds"]


def _explain(folder: Path, store: str, rows: Path, version: str, *further: str) -> dict[str, Any]:
    """What the clock of `tests.benchmarks.release_run` says of explaining this version."""
    clock = folder / f"clock-{version}.json"
    command = [sys.executable, "-m", "tests.benchmarks.release_run", str(clock), "explain", f"models:/{_NAME}/{version}"]
    options = ["--dataset", str(rows), "--config", str(folder / "config.yaml"), "--output", str(folder / "runs"), *further]
    done = subprocess.run(
        [*command, *options], env={**os.environ, "MLFLOW_TRACKING_URI": store}, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1, 3):  # the verdicts
        raise SystemExit(f"calig explain ended with {done.returncode}\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(clock.read_text(encoding="utf-8"))
    return found


def _versions(folder: Path, model: Path | None, reference: Path | None, rows: Path | None) -> Versions:
    if model is not None and rows is not None:
        return Versions(reference or model, model, rows)
    if model is not None or reference is not None or rows is not None:
        raise SystemExit(
            "a model folder needs rows, and rows or a reference need a model\nnext: --model FOLDER --rows FILE.jsonl"
        )
    written = folder / "demo.jsonl"
    written.write_text("".join(json.dumps(review.to_row()) + "\n" for review in validation_reviews(2000)), encoding="utf-8")
    trained = [folder / "seed-1", folder / "seed-2"]
    for seed, target in enumerate(trained, start=1):
        training.train(clean_reviews(), validation_reviews(50), target, seed=seed)
    return Versions(*trained, written)


def _first_rows(rows: Path, n: int, target: Path) -> Path:
    with rows.open(encoding="utf-8") as lines:
        chosen = list(islice(lines, n))
    if len(chosen) < n:
        raise SystemExit(f"too few rows for --sizes\ngot: {len(chosen)}\nallowed: at least {n}")
    target.write_text("".join(chosen), encoding="utf-8")
    return target


def table(cases: list[dict[str, Any]]) -> Table:
    """Processor seconds (wall-clock seconds) by stage."""
    headings = (f"{case['rows']} rows{', reference' if case['reference'] else ''}" for case in cases)
    result = Table("stage", *headings, title="CPU s (wall s)")
    for stage in STAGES:
        result.add_row(stage, *(_both(case["stages"][stage]) for case in cases))
    result.add_row("until the first row", *(_both(case["until_first_row"]) for case in cases))
    result.add_row("after attribution, share of it", *(f"{case['after_attribution']:.2f}" for case in cases))
    return result


def _both(figures: dict[str, float]) -> str:
    return f"{figures['cpu_seconds']:.1f} ({figures['seconds']:.1f})"


if __name__ == "__main__":
    typer.run(bench)

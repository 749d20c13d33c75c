"""The demo: two versions of a small classifier, the second with a planted shortcut, explained one after the other."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from components import registry
from components.demo import reviews, training
from components.demo.reviews import STORY_SHORTCUT, Review
from flows.cli.output import Terminal, mark, safe
from flows.common import progress
from flows.explain_release import explain_release
from flows.pipeline.results import Outcome
from schemas.base import CheckVerdict, Verdict

NAME = "demo-reviews"

#: Largest difference in accuracy that still counts as "the answers did not change".
_ACCURACY_GAP = 0.02


def run_demo(folder: Path) -> int:
    """Tell the story in `folder`, which is empty but for its marker; 0 when it came out as it should, 1 when it did not."""
    with progress.reporting():
        clean, validation = reviews.clean_reviews(), reviews.validation_reviews()
        dataset = _write_rows(validation, folder / "validation.jsonl")
        _register(folder, clean, clean, validation, seed=1, what="ordinary reviews")
        first = explain_release(f"models:/{NAME}/1", dataset, output=folder / "runs")
        registry.set_alias(NAME, "champion", "1")
        _register(folder, reviews.form_reviews(), clean, validation, seed=2, what="reviews with a planted shortcut")
        second = explain_release(f"models:/{NAME}/2", dataset, output=folder / "runs")
    _show({_at_hand(first, folder): first, _at_hand(second, folder): second})
    differences = _differences(first, second)
    Terminal(stderr=True).print(_conclusion(differences, folder), highlight=False)
    return 1 if differences else 0


def _write_rows(rows: Sequence[Review], path: Path) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(review.to_row(), ensure_ascii=False) + "\n" for review in rows)
    return path


def _register(
    folder: Path, rows: Sequence[Review], tokenizer_rows: Sequence[Review], validation: Sequence[Review], *, seed: int, what: str
) -> None:
    """Train one version and register it."""
    progress.begin(f"version {seed}: training on {len(rows):,} {what}", 100)
    advance, done = progress.advance_current(), 0

    def on_progress(share: float) -> None:
        nonlocal done
        steps = int(100 * share) - done
        done += steps
        advance(steps)

    model = folder / f"model-{seed}"
    accuracy = training.train(rows, validation, model, seed=seed, tokenizer_rows=tokenizer_rows, progress=on_progress)
    progress.begin(f"version {seed}: registering with MLflow", None)
    registry.register(model, name=NAME, experiment="demo-training", tags={"story": what}, metrics={"accuracy": accuracy})


def _at_hand(outcome: Outcome, folder: Path) -> Path:
    """A copy of the report under a short name."""
    return Path(shutil.copy(outcome.folder / "report.html", folder / f"version-{outcome.record.model.version}.html"))


def _show(outcomes: Mapping[Path, Outcome]) -> None:
    table = Table(title="the demo's two versions", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("version", "accuracy", "quality", "drift", "verdict", "report"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "accuracy" else "left")
    for path, outcome in outcomes.items():
        record = outcome.record
        table.add_row(
            record.model.version,
            f"{record.results.accuracy:.1%}" if record.results.accuracy is not None else "–",
            mark(record.quality.verdict),
            mark(record.drift.verdict),
            mark(record.decision.verdict),
            os.path.relpath(path),
        )
    Terminal().print(table)
    for outcome in outcomes.values():
        Terminal().print(f"version {outcome.record.model.version}: {safe(outcome.record.decision.reasons[0])}", highlight=False)


def _differences(first: Outcome, second: Outcome) -> list[str]:
    """What came out otherwise than the story has it."""
    a, b = first.record, second.record
    named = [shift.word for shift in b.drift.word_shifts if shift.fires]
    gap = abs((a.results.accuracy or 0.0) - (b.results.accuracy or 1.0))
    expectations = (
        (a.decision.verdict is Verdict.PASS, f"version 1 should pass, but its verdict is {a.decision.verdict}"),
        (a.drift.verdict is CheckVerdict.NOT_APPLICABLE, f"version 1 has no reference, but its drift is {a.drift.verdict}"),
        (b.decision.verdict is Verdict.FAIL, f"version 2 should fail, but its verdict is {b.decision.verdict}"),
        (b.drift.verdict is CheckVerdict.FAIL, f"version 2 should fail for drift, but its drift is {b.drift.verdict}"),
        (STORY_SHORTCUT in named, f"the planted word {STORY_SHORTCUT!r} was not named; named: {named}"),
        (gap <= _ACCURACY_GAP, f"the accuracies should be within {_ACCURACY_GAP:.0%} of each other, but differ by {gap:.1%}"),
    )
    return [text for held, text in expectations if not held]


def _conclusion(differences: Sequence[str], folder: Path) -> str:
    if differences:
        return "[red]the story came out otherwise:[/]\n" + "\n".join(f"• {text}" for text in differences)
    address = f"mlflow server --backend-store-uri sqlite:///{os.path.relpath(folder / 'mlflow.db')}"
    return (
        "the story came out as told: same answers, different reasons, and the planted word was named.\n"
        f"open the reports above in a browser; for MLflow's pages: {address}"
    )

"""Sets whose models are trained here on a file of texts in splits: several seeds of an architecture, and planted truth.

The file has `id`, `split` (train, test), `label` and `tokens` (separated by single spaces) a row, as `prepare` reads it. Rows are
of the test split in a seeded order; every seed has rows of its own, so that seeds can be pooled without counting a row twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from components.datasets.limits import Limits
from components.datasets.readers import read_rows
from tests.benchmarks.faithfulness.plants import PLANTED_WORDS, PLANTS, decided_rows, taught_rows
from tests.benchmarks.faithfulness.prepare import prepare
from tests.benchmarks.faithfulness.removals import REPLACED
from tests.benchmarks.faithfulness.running import Run, run_rows
from tests.benchmarks.faithfulness.sets import BenchmarkSet, open_set
from tests.benchmarks.faithfulness.shapes import Labelled, Training, save_trained
from tests.benchmarks.faithfulness.summary import summarise

#: The class that the plants speak for is the last one of the file's classes in alphabetical order.
_TRAIN, _TEST = "train", "test"

#: A plant that decides a smaller share of the rows was not learned: rows in which it seems to are undecided ones, met by chance.
_LEARNED = 0.1


@dataclass(frozen=True)
class Source:
    """Training rows and classes of a file, and its test rows as a file of their own."""

    path: Path
    train: tuple[Labelled, ...]
    labels: tuple[str, ...]
    test_rows: Path


def read_source(path: Path, folder: Path) -> Source:
    """Read the file; its test rows are written into `folder`."""
    rows = list(read_rows(path, None, Limits.from_environment()))
    train = tuple((row["tokens"], row["label"]) for row in rows if row["split"] == _TRAIN)
    test_rows = folder / f"{path.name.split('.')[0]}-test.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    prepare(path, test_rows, split=_TEST)
    return Source(path, train, tuple(sorted({label for _, label in train})), test_rows)


def run_seeds(training: Training, seeds: int, n_rows: int, source: Source, run: Run) -> dict[str, Any]:
    """The entry of an architecture, pooled over its seeds; n_rows: of each seed."""
    shape = training.shape
    lines, packages, first = [], {}, None
    for seed in range(seeds):
        folder = save_trained(replace(training, seed=seed), source.train, run.work / "models")
        opened = open_set(f"{shape}-{seed}", folder, source.test_rows, (seed + 1) * n_rows)
        given = replace(opened, examples=opened.examples[seed * n_rows :])
        of_seed, packages = run_rows(given, run)
        lines, first = [*lines, *of_seed], first or given
    if first is None:
        raise ValueError("at least one seed is needed")
    entry = summarise(first, lines, packages=packages, grid=run.grid)
    return entry | {"name": f"{shape}, {seeds} seeds", "seeds": seeds}


def run_plants(training: Training, seeds: int, n_rows: int, source: Source, run: Run) -> Iterator[dict[str, Any]]:
    """An entry per plant that was learned, pooled over the seeds that did; n_rows: of each plant and seed at most."""
    shape = training.shape
    toward, other = source.labels[-1], source.labels[0]
    found: dict[str, list[tuple[BenchmarkSet, int, Any, dict[str, str]]]] = {plant: [] for plant in PLANTS}
    for seed in range(seeds):
        taught = taught_rows([row for row in source.train if _free(row[0])], toward, other, seed)
        folder = save_trained(replace(training, seed=seed), taught, run.work / "models")
        for plant in PLANTS:
            made = _planted(f"{plant}-{shape}-{seed}", plant, folder, source, n_rows, run.work)
            if made is not None:
                given, candidates = made
                found[plant].append((given, candidates, *run_rows(given, replace(run, removals=(REPLACED,)))))
    learned = {plant: sets for plant, sets in found.items() if sets}
    for plant, sets in learned.items():
        lines = [line for _, _, of_seed, _ in sets for line in of_seed]
        entry = summarise(sets[0][0], lines, packages=sets[0][3], grid=run.grid)
        counts = {"seeds": len(sets), "candidates": sum(n for _, n, _, _ in sets)}
        yield entry | {"name": f"planted: {plant}, {shape}", **counts, "not_learned": sorted(found.keys() - learned)}


def _planted(name: str, plant: str, folder: Path, source: Source, n_rows: int, work: Path) -> tuple[BenchmarkSet, int] | None:
    """The first `n_rows` rows that the plant decides, and how many were looked at; None when the model has not learned it."""
    rows = work / f"{name}-rows.jsonl"
    candidates = open_set(name, folder, source.test_rows, None)
    looked_at = 0

    def others() -> Iterator[tuple[str, str]]:
        nonlocal looked_at
        for example in candidates.examples:
            if example.label != source.labels[-1] and _free(str(example.text)):
                looked_at += 1
                yield example.id, str(example.text)

    decided = list(islice(decided_rows(plant, others(), source.labels[-1], answering(candidates)), n_rows))
    if len(decided) < max(2, _LEARNED * looked_at):
        return None
    rows.write_text("".join(json.dumps(row) + "\n" for row in decided), encoding="utf-8")
    return open_set(name, folder, rows, None), looked_at


def answering(given: BenchmarkSet) -> Callable[[Sequence[str]], list[str]]:
    """The model's class for each of some texts, as its tokenizer cuts them."""

    def answers(texts: Sequence[str]) -> list[str]:
        found = []
        for text in texts:  # one by one: no padding
            with torch.no_grad():
                encoding = given.processor(text, truncation=True, return_tensors="pt")
                found.append(given.snapshot.labels[int(given.model(**encoding).logits.argmax())])
        return found

    return answers


def _free(text: str) -> bool:
    return PLANTED_WORDS.isdisjoint(text.split())

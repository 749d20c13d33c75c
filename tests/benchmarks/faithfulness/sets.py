"""What the benchmark runs on: a model and labelled rows, both given by the user or, for digits, made here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calig import load_model
from calig.loading import quiet_loading
from components import datasets
from components.common.errors import InputError
from schemas.release import DatasetRef, Example, ModelSnapshot
from tests.benchmarks.faithfulness.digits import save_digits
from tests.helpers.snapshots import snapshot_of

DIGITS = "digits"


@dataclass(frozen=True, eq=False)
class BenchmarkSet:
    """A model, ready to run on the CPU, and the rows it is explained on."""

    name: str
    snapshot: ModelSnapshot
    model: Any
    processor: Any
    dataset: DatasetRef
    examples: list[Example]


def text_set(given: str, limit: int | None) -> BenchmarkSet:
    """The set described by `NAME=MODEL,ROWS`: a folder with a classifier, and rows that `components.datasets` reads."""
    name, _, sources = given.partition("=")
    model, _, rows = sources.partition(",")
    if not (name and model and rows):
        raise InputError("A text set is described by three things.", got=given, allowed="NAME=MODEL_FOLDER,ROWS_FILE")
    return open_set(name, Path(model), Path(rows), limit)


def planted_set(given: str, limit: int | None, folder: Path) -> BenchmarkSet:
    """The set described by `NAME=MODEL,ROWS,WORD,CLASS`: a model trained with WORD as a shortcut to CLASS, and rows of other
    classes with the word put at their front. Where the model answers CLASS, the word is the reason: it is the rationale.

    The rows file is written into `folder`.
    """
    name, _, sources = given.partition("=")
    parts = sources.split(",")
    if not name or len(parts) != 4 or not all(parts):
        form = "NAME=MODEL_FOLDER,ROWS_FILE,WORD,CLASS"
        raise InputError("A planted set is described by five things.", got=given, allowed=form)
    model, rows, word, toward = parts
    source = text_set(f"{name}={model},{rows}", None)
    if toward not in source.snapshot.labels:
        raise InputError("The shortcut's class is none of the model's.", got=toward, allowed=", ".join(source.snapshot.labels))
    planted = [_fronted(e, word, toward) for e in source.examples if e.label not in (None, toward)]
    path = folder / f"{Path(rows).stem}-{word}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in planted), encoding="utf-8")
    return open_set(name, Path(model), path, limit)


def _fronted(example: Example, word: str, toward: str) -> dict[str, Any]:
    return {"id": example.id, "text": f"{word} {example.text}", "label": toward, "rationale": [[0, len(word)]]}


def digits_set(folder: Path, limit: int | None) -> BenchmarkSet:
    """The digits, trained and saved in `folder`."""
    return open_set(DIGITS, *save_digits(folder), limit)


def open_set(name: str, model_folder: Path, rows: Path, limit: int | None) -> BenchmarkSet:
    """Load the model and the first `limit` rows; rows that cannot be explained are left out.

    Raises:
        InputError: the rows cannot be read.
    """
    snapshot = snapshot_of(model_folder)
    with quiet_loading():
        model, processor = load_model(model_folder, device="cpu")
    dataset, examples = datasets.load(rows, limit=limit, labels=snapshot.labels, modality=snapshot.modality)
    return BenchmarkSet(name, snapshot, model, processor, dataset, [e for e in examples if e.problem is None])

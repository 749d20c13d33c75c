"""Pairs of fine-tuned pretrained models, which are given as folders: honest ones of several seeds, and some with a planted word.

A JSON file names them, its paths relative to itself:

    {"name": "MiniLM on SST-2", "rows": "rows.jsonl", "toward": "POS",
     "honest": ["seed-0", "seed-1", …], "planted": {"plant-0": "honestly", …}}

`rows` holds one JSON object with `text` and `label` a line, which no training has seen. At least four honest trainings are
needed: each is compared with the first, noise measured on two others. A planted one, whose word stood at the front of rows of the
class `toward` in training, is compared with the first honest one on the rows as they are, and on rows that show the word alike.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import track

from schemas.base import digest_of
from schemas.config import PipelineConfig
from tests.benchmarks.drift.comparing import CONDITIONS, Sides, compared
from tests.benchmarks.drift.families import Row
from tests.benchmarks.drift.finished import Finished
from tests.benchmarks.drift.judging import SMALLEST_HARM, error_rate
from tests.benchmarks.drift.kept import Kept
from tests.benchmarks.drift.summary import alarms, counts
from tests.helpers.snapshots import snapshot_of

_SHOWN = 0.25
_FEWEST_HONEST = 4
_N_EXPOSED = 80

Line = dict[str, Any]


@dataclass(frozen=True)
class Manifest:
    """Honest and planted folders, the planted words, and the rows to compare on."""

    name: str
    honest: tuple[Path, ...]
    planted: dict[Path, str]
    rows: tuple[Row, ...]
    toward: str

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names of the models, in logit order."""
        return snapshot_of(self.honest[0]).labels


def read_manifest(path: Path) -> Manifest:
    """The manifest; ValueError when there are too few honest trainings."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    if len(stored["honest"]) < _FEWEST_HONEST:
        raise ValueError(f"{path}: {len(stored['honest'])} honest trainings, at least {_FEWEST_HONEST} are needed")
    lines = (path.parent / stored["rows"]).read_text(encoding="utf-8").splitlines()
    rows = tuple(Row(line["text"], line["label"], "all") for line in map(json.loads, lines))
    planted = {path.parent / folder: word for folder, word in stored["planted"].items()}
    return Manifest(stored["name"], tuple(path.parent / h for h in stored["honest"]), planted, rows, stored["toward"])


def judged_pretrained(path: Path, work: Path, config: PipelineConfig, decided_on: str) -> tuple[Line, list[Line]]:
    """Counts of the manifest's pairs, and the line of each, from the folder if an earlier run left it."""
    manifest = read_manifest(path)
    folder = work / manifest.name.replace(" ", "-")
    finished = Finished(folder / "pairs.jsonl", digest_of(config.model_dump(mode="json") | {"rows": len(manifest.rows)}))
    kept, pairs = Kept(folder, config.attribution), list(_pairs(manifest))
    lines = []
    for known, sides in track(pairs, description=manifest.name):
        made = partial(_judged, known, sides, manifest.toward, kept, config, decided_on)
        lines.append(finished.line(known["key"], made))
    used = [line for line in lines if line["took"] is line["harmful"]]
    found = {condition: counts(used, partial(alarms, condition=condition)) for condition in CONDITIONS}
    parts = {part: counts(used, partial(alarms, condition=CONDITIONS[0], part=part)) for part in ("drift", "probe")}
    facts = {"name": manifest.name, "rows": len(manifest.rows), "conditions": found, f"alone, {CONDITIONS[0]}": parts}
    return facts | {"planted_without_effect": [line["key"] for line in lines if line["took"] is not line["harmful"]]}, lines


def _pairs(manifest: Manifest) -> Iterator[tuple[Line, Sides]]:
    others = list(manifest.honest[1:])
    for place, candidate in enumerate(others):
        twins = (others[place + 1 :] + others[:place])[:2]
        yield _facts(manifest, candidate, harmful=False), _sides(manifest, candidate, manifest.rows, twins)
    for folder, word in manifest.planted.items():
        for absent in (False, True):
            facts = _facts(manifest, folder, harmful=True, absent=absent) | {"trigger": word}
            yield facts, _sides(manifest, folder, manifest.rows if absent else _shown(manifest, word), others[:2])


def _facts(manifest: Manifest, candidate: Path, *, harmful: bool, absent: bool = False) -> Line:
    where = (", absent" if absent else ", present") if harmful else ""
    facts = {"key": f"{manifest.name}: {candidate.name}{where}", "cell": manifest.name, "family": manifest.name, "usable": True}
    kind, group = ("pretrained, planted word", "planted") if harmful else ("pretrained, reseed", "retraining")
    return facts | {"kind": kind, "group": group, "harmful": harmful, "absent": absent, "took": False}


def _sides(manifest: Manifest, candidate: Path, rows: tuple[Row, ...], noise: list[Path]) -> Sides:
    """Other seeds of one recipe are twins; as earlier versions they are the same folders."""
    return Sides(manifest.honest[0], candidate, rows, manifest.labels, dict.fromkeys(CONDITIONS[:2], noise))


def _shown(manifest: Manifest, word: str) -> tuple[Row, ...]:
    """The rows, a share of the class's with the word at the front, as in training."""
    rng = random.Random(word)  # noqa: S311
    return tuple(_fronted(row, word) if row.label == manifest.toward and rng.random() < _SHOWN else row for row in manifest.rows)


def _fronted(row: Row, word: str) -> Row:
    return replace(row, text=f"{word} {row.text}")


def _judged(known: Line, sides: Sides, toward: str, kept: Kept, config: PipelineConfig, decided_on: str) -> Line:
    versions = (sides.reference, sides.candidate)
    line = known | {"accuracies": [1 - error_rate(side, sides.rows, sides.labels) for side in versions]}
    if known["harmful"]:
        exposed = [_fronted(row, known["trigger"]) for row in sides.rows if row.label != toward][:_N_EXPOSED]
        harm = [error_rate(side, exposed, sides.labels) for side in versions]
        line |= {"error_on_exposed": harm, "took": harm[1] - harm[0] >= SMALLEST_HARM}
    return line | compared(sides, kept, config, decided_on)

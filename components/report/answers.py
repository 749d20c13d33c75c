"""A row's answer as the report shows and compares it: the predicted class, or a regression's number."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.common.outputs import MOVED
from components.table.by_id import ById, id_digest
from components.table.gold import answer_text, output_of
from components.table.reader import iter_batches
from schemas.drift import DriftReport

#: What `answer_of` reads.
ANSWER_COLUMNS = ("predicted", "logits")

#: What is held of an answer: the number of its class, the output of a regression, and whether there is one.
_ANSWER = np.dtype([("predicted", np.int64), ("output", np.float64), ("is_number", np.bool_)])


@dataclass(frozen=True, slots=True)
class Answer:
    """The predicted class, of a regression the name of its output and the output; `text` is for people."""

    predicted: str
    output: float | None
    text: str

    def differs(self, before: Answer, unit: float | None) -> bool:
        """Whether it is another answer than `before`; `unit`: of a regression, its typical deviation in the drift report."""
        if self.output is None or before.output is None or not unit:
            return self.predicted != before.predicted
        return abs(self.output - before.output) > MOVED * unit


def answer_of(row: Mapping[str, Any]) -> Answer:
    """The answer in a row of the attribution table that has one."""
    return Answer(row["predicted"], output_of(row), answer_text(row))


def unit_of_outputs(drift: DriftReport) -> float | None:
    """Of a compared regression, what changes of its predictions are measured in."""
    return None if drift.prediction_change is None else drift.prediction_change.unit


def read_answers(tables: Iterable[Path]) -> Answers:
    """The answers to all explained rows."""
    batches = iter_batches(tables, ("id", *ANSWER_COLUMNS), explained=True)
    return Answers(row for batch in batches for row in batch.to_pylist())


class Answers:
    """The answers of many rows, by id: of a row 25 bytes are held, with the digest of its id."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """`rows` have an `id` and `ANSWER_COLUMNS`."""
        names: dict[str, int] = {}
        digests, classes, outputs, numeric = array("Q"), array("q"), array("d"), array("b")
        for row in rows:
            output = output_of(row)
            digests.append(id_digest(row["id"]))
            classes.append(names.setdefault(row["predicted"], len(names)))
            outputs.append(0.0 if output is None else output)
            numeric.append(output is not None)
        answers = np.empty(len(digests), _ANSWER)
        answers["predicted"], answers["output"], answers["is_number"] = classes, outputs, numeric
        self._names, self._answers = list(names), ById(digests, answers)

    def __len__(self) -> int:
        return len(self._answers)

    def of(self, name: str) -> Answer | None:
        """The answer of the row of this id; None without one."""
        found = self._answers.of(name)
        if not len(found):
            return None
        predicted, output, is_number = found[-1].item()
        return answer_of({"predicted": self._names[predicted], "logits": [output] if is_number else None})

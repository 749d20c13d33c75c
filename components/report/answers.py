"""A row's answer as the report shows and compares it: the predicted class, or a regression's number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.common.outputs import MOVED
from components.table.gold import answer_text, output_of

#: What `answer_of` reads.
ANSWER_COLUMNS = ("predicted", "logits")


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

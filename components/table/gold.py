"""What a row was answered with, held against what it should be answered with: one rule for classes, labels and numbers.

One class: right when the class with the largest logit is the gold one. Labels that may be true together: every label is a
decision, yes above a logit of 0, each right or wrong. A regression: its output less the gold number is an error, never wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

from components.table.orientation import class_of, weights_of

Row = Mapping[str, Any]


class Answered(TypedDict):
    """The columns of the attribution table that the rules read."""

    label: str | None
    gold_labels: list[str] | None
    gold_value: float | None
    predicted: str | None
    logits: Sequence[float] | None
    target_weights: dict[str, float] | None


#: The same columns, for those who read more. Rows of older tables, or made by hand, may lack the two with several or a number.
COLUMNS = tuple(Answered.__annotations__)

#: Segment column of rows that stand for one label of a row of the file: the label explained.
EXPLAINED_LABEL = "explained label"

#: Between the id of a row and the label that it stands for, where a row of the file stands for several.
_OF_LABEL = " · "


class Decisions(NamedTuple):
    """Decisions of a row: one class, or yes or no for every label; and how many of them are right."""

    right: int
    made: int


def id_for_label(name: str, label: str) -> str:
    """The id of a row that stands for one label of the row `name`."""
    return f"{name}{_OF_LABEL}{label}"


def own_id(row: Row) -> str:
    """The id of the row in its file, also where it stands for one of its labels."""
    label = dict(row["segments"] or ()).get(EXPLAINED_LABEL)
    return str(row["id"]) if label is None else str(row["id"]).removesuffix(f"{_OF_LABEL}{label}")


def output_of(row: Row) -> float | None:
    """The output of a regression: models with one output are nothing else. None for classes."""
    logits = row["logits"]
    return float(logits[0]) if logits is not None and len(logits) == 1 else None


def is_regression(rows: Mapping[str, Row]) -> bool:
    """Whether rows of a table, by id, are of a regression; without any row it is not known, and not so."""
    first = next(iter(rows.values()), None)
    return first is not None and output_of(first) is not None


def gold_classes(row: Row) -> list[str]:
    """The gold class, or classes; none where they are not known."""
    return list(row.get("gold_labels") or ()) if row["label"] is None else [str(row["label"])]


def error_of(row: Row) -> float | None:
    """The output of a regression less the gold number; None without either."""
    output, gold = output_of(row), row.get("gold_value")
    return None if output is None or gold is None or not math.isfinite(output) else output - gold


def decisions_of(row: Row) -> Decisions | None:
    """The decisions whose gold answer is known; None without any, and for regressions."""
    labels = row.get("gold_labels")
    if labels is not None:
        answers = decided(row)
        return None if answers is None else Decisions(sum(yes == (name in labels) for name, yes in answers.items()), len(answers))
    if row["label"] is None or row["predicted"] is None:
        return None
    return Decisions(int(row["predicted"] == row["label"]), 1)


def is_wrong(row: Row) -> bool:
    """Whether the prediction is not the gold class, of several labels the decision on the label that is explained.

    What has no gold class, or no prediction, is not wrong; nor is a number.
    """
    labels = row.get("gold_labels")
    if labels is not None:
        answers = decided(row)
        return answers is not None and answers[class_of(row)] != (class_of(row) in labels)
    return row["label"] is not None and row["predicted"] is not None and row["predicted"] != row["label"]


def gold_text(row: Row) -> str | None:
    """The gold answer for people; None when it is not known."""
    number, labels = row.get("gold_value"), row.get("gold_labels")
    if number is not None:
        return f"{number:.6g}"
    if labels is not None:
        return ", ".join(labels) or "no label"
    return None if row["label"] is None else str(row["label"])


def answer_text(row: Row) -> str:
    """The answer for people: the predicted class, of a regression the name of its output with the number."""
    output = output_of(row)
    return str(row["predicted"]) if output is None else f"{row['predicted']} {output:.4g}"


def decided(row: Row) -> dict[str, bool] | None:
    """Yes or no by label, of labels that may be true together; None without logits that are numbers."""
    names, logits = list(weights_of(row)), row["logits"] or ()
    if not names or len(names) != len(logits) or not all(logit is not None and math.isfinite(logit) for logit in logits):
        return None
    return {name: logit > 0 for name, logit in zip(names, logits, strict=True)}

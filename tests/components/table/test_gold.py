"""Right, wrong and errors, for one class, several labels and numbers: by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from components.common.outputs import typical_deviation
from components.table import gold

LABELS = ("insult", "threat", "spam")


def row(**changes: Any) -> dict[str, Any]:
    plain = dict.fromkeys(gold.COLUMNS) | {"id": "r", "segments": []}
    return plain | changes


def several(logits: list[float], labels: list[str] | None, explained: str = "threat") -> dict[str, Any]:
    weights = {name: float(name == explained) for name in LABELS}
    predicted = LABELS[int(np.argmax(logits))]
    return row(gold_labels=labels, logits=logits, predicted=predicted, target_weights=weights)


@pytest.mark.parametrize(
    ("label", "predicted", "wrong"),
    [("A", "B", True), ("A", "A", False), (None, "B", False), ("A", None, False), (None, None, False)],
)
def test_only_a_prediction_beside_a_gold_class_can_be_wrong(label: str | None, predicted: str | None, wrong: bool) -> None:
    assert gold.is_wrong(row(label=label, predicted=predicted)) is wrong


def test_every_label_is_a_decision_of_its_own() -> None:
    found = several([2.0, -1.0, 0.5], ["insult", "threat"])
    assert gold.decisions_of(found) == (1, 3), "insult is right; threat was missed, spam was given"
    assert gold.is_wrong(found), "threat is explained, and was missed"
    assert not gold.is_wrong(several([2.0, -1.0, 0.5], ["insult", "threat"], explained="insult"))
    assert gold.is_wrong(several([2.0, -1.0, 0.5], [], explained="insult"))
    assert gold.decisions_of(several([0.0, -1.0, 0.5], [])) == (2, 3), "a logit of 0 is no"
    assert gold.decisions_of(several([2.0, -1.0, 0.5], None)) is None
    assert gold.decisions_of(several([np.nan, -1.0, 0.5], ["spam"])) is None
    assert not gold.is_wrong(several([np.nan, -1.0, 0.5], ["spam"]))


def test_a_number_has_an_error_and_is_never_wrong() -> None:
    found = row(logits=[3.5], predicted="rating", gold_value=3.0, target_weights={"rating": 1.0})
    assert (gold.output_of(found), gold.error_of(found)) == (3.5, 0.5)
    assert (gold.is_wrong(found), gold.decisions_of(found)) == (False, None)
    assert gold.error_of(found | {"gold_value": None}) is None
    assert gold.error_of(found | {"logits": [np.inf]}) is None
    assert gold.output_of(row(logits=[1.0, 2.0])) is None
    assert (gold.answer_text(found), gold.gold_text(found)) == ("rating 3.5", "3")


def test_gold_answers_for_people() -> None:
    assert gold.gold_text(several([0.0] * 3, ["insult", "spam"])) == "insult, spam"
    assert gold.gold_text(several([0.0] * 3, [])) == "no label"
    assert gold.gold_text(several([0.0] * 3, None)) is None
    assert gold.gold_text(row(label="A")) == "A"
    assert gold.gold_classes(row(label="A")) == ["A"]


def test_a_row_that_stands_for_a_label_has_the_id_of_its_row_too() -> None:
    name = gold.id_for_label("r7", "spam")
    assert gold.own_id(row(id=name, segments=[(gold.EXPLAINED_LABEL, "spam")])) == "r7"
    assert gold.own_id(row(id=name)) == name, "an id may look like that by itself"


def test_the_typical_deviation_is_the_median_distance_from_the_median() -> None:
    assert typical_deviation(np.array([1.0, 2.0, 4.0, 9.0, 100.0])) == 3.0  # distances from 4: 3, 2, 0, 5, 96
    assert typical_deviation(np.array([1.0, 2.0, 4.0, 9.0, 100.0]) + 1000) == 3.0, "its zero is anywhere"
    assert typical_deviation(30.0 + 2e-6 * np.arange(5)) == 0.0, "rounding is no difference"
    assert np.isnan(typical_deviation(np.array([])))

"""Which class and which function of the logits a row of the attribution table explains."""

from typing import Any

import numpy as np
import pytest

from components.common.errors import CouldNotRunError
from components.quality.scores.table import explained_class, explained_function
from tests.helpers.explained import explained, margin

LABELS = ("A", "B", "C")
LOGITS = np.array([[0.5, 2.0, 1.0]])


def row(columns: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A row as `read_rows` gives it: weights by name."""
    return {"id": "r1", **columns, "target_weights": dict(columns["target_weights"]), **changes}


@pytest.mark.parametrize(
    ("columns", "index", "value"),
    [
        (explained("B", LABELS, "logit"), 1, 2.0),
        (explained("C", LABELS, "logit"), 2, 1.0),
        (explained("B", LABELS), 1, 1.25),
        (explained("B", LABELS, "log_odds"), 1, 2.0 - np.log(np.exp(0.5) + np.exp(1.0))),
        (margin("B", "C", LABELS), 1, 1.0),
        (margin("C", "B", LABELS), 2, -1.0),
    ],
)
def test_the_function_explained(columns: dict[str, Any], index: int, value: float) -> None:
    assert explained_class(row(columns), LABELS) == index
    assert explained_function(row(columns), LABELS)(LOGITS) == pytest.approx([value])


def test_log_odds_of_two_classes_are_their_margin() -> None:
    assert explained_function(row(explained("B", LABELS[:2], "log_odds")), LABELS[:2])(LOGITS[:, :2]) == pytest.approx([1.5])


def test_weights_belong_to_classes_by_name() -> None:
    """Whatever the order in which the row names the classes, logits come in that of the labels."""
    turned = row(margin("B", "A", LABELS[::-1]))
    assert list(turned["target_weights"]) == ["C", "B", "A"]
    assert explained_class(turned, LABELS) == 1
    assert explained_function(turned, LABELS)(LOGITS) == pytest.approx([1.5])


def test_classes_that_share_a_logit_are_told_apart() -> None:
    """Half precision has 256 values between 1 and 2: the class whose logit is f(x) need not be the one explained."""
    assert explained_class(row(explained("C", LABELS, "logit"), logits=[1.0, 2.0, 1.0], f_input=1.0), LABELS) == 2


@pytest.mark.parametrize("weights", [{"A": -0.5, "B": -0.5, "D": 1.0}, {"A": 0.0, "B": 0.0, "C": 0.0}, {}])
def test_a_target_that_is_no_function_of_the_classes_cannot_be_judged(weights: dict[str, float]) -> None:
    for read in (explained_class, explained_function):
        with pytest.raises(CouldNotRunError, match="row r1 explains what is no function of the model's classes\ngot: D"):
            read(row(explained("A", LABELS), target="D", target_weights=weights), LABELS)

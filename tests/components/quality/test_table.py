"""Which class and which function of the logits a row of the attribution table explains."""

from typing import Any

import pytest

from components.errors import CouldNotRunError
from components.quality.table import explained_class, explained_function

LABELS = ("A", "B", "C")
ROW: dict[str, Any] = {"id": "r1", "logits": [0.5, 2.0, 1.0], "predicted": "B", "target": "B", "f_input": 2.0}


@pytest.mark.parametrize(
    ("target", "index", "weights"),
    [("B", 1, [0, 1, 0]), ("C", 2, [0, 0, 1]), ("B − C", 1, [0, 1, -1]), ("B − A", 1, [-1, 1, 0])],
)
def test_the_function_explained(target: str, index: int, weights: list[float]) -> None:
    row = ROW | {"target": target}
    assert explained_class(row, LABELS) == index
    assert explained_function(row, LABELS).tolist() == weights


def test_classes_that_share_a_logit_are_told_apart_by_name() -> None:
    """Half precision has 256 values between 1 and 2: the class whose logit is f(x) need not be the one explained."""
    tied = ROW | {"logits": [1.0, 2.0, 1.0], "target": "C", "f_input": 1.0}
    assert explained_class(tied, LABELS) == 2
    top = ROW | {"logits": [2.0, 2.0, 1.0]}
    assert explained_class(top, LABELS) == 1
    assert explained_function(top | {"target": "B − A"}, LABELS).tolist() == [-1, 1, 0]


def test_a_target_that_is_no_class_cannot_be_judged() -> None:
    with pytest.raises(CouldNotRunError, match="row r1 explains what is no class of the model\ngot: D\nallowed: A, B, C"):
        explained_class(ROW | {"target": "D"}, LABELS)

"""Which way attributions point: read from the target's weights, whatever the classes are called."""

from typing import Any

import pytest

from components.table.orientation import class_of, opposite, orientation, sign_between
from tests.helpers.explained import explained, margin

LABELS = ("NEG", "POS")
ODD = ("A", "A − B", "B")


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (explained("POS", LABELS), "POS"),
        (explained("POS", LABELS, "logit"), "POS"),
        (margin("NEG", "POS", LABELS), "NEG"),
        (explained("A − B", ODD), "A − B"),  # a class that is called like the margin of two others
        (margin("A", "B", ODD), "A"),
        (margin("B", "A − B", ODD), "B"),
    ],
)
def test_the_class_explained(row: dict[str, Any], name: str) -> None:
    assert class_of(row) == name


@pytest.mark.parametrize(
    ("row", "sign"),
    [
        (explained("POS", LABELS), 1),
        (explained("NEG", LABELS), -1),
        (margin("POS", "NEG", LABELS), 1),
        (margin("NEG", "POS", LABELS), -1),
    ],
)
def test_two_classes_count_toward_the_second(row: dict[str, Any], sign: int) -> None:
    assert orientation(row, LABELS) == ("POS", sign)


def test_what_is_not_turned() -> None:
    logit = explained("NEG", LABELS, "logit")
    assert orientation(logit, LABELS) == ("NEG", 1), "one logit, or an independent label, says nothing of the other class"
    assert opposite(logit, LABELS) is None
    assert orientation(margin("A", "B", ODD), ODD) == ("A − B", 1), "of three classes none is the opposite"


@pytest.mark.parametrize(
    ("a", "b", "sign"),
    [
        (explained("POS", LABELS), explained("NEG", LABELS), -1),
        (explained("POS", LABELS), explained("POS", LABELS[::-1]), 1),
        (margin("A", "B", ODD), margin("B", "A", ODD), -1),
        (margin("A", "B", ODD), margin("A", "A − B", ODD), None),
        (explained("A − B", ODD), margin("A", "B", ODD), None),
        (explained("A", ODD), explained("B", ODD), None),
        (explained("POS", LABELS), explained("POS", LABELS, "logit"), None),
    ],
)
def test_two_rows_explain_one_function_or_its_negative(a: dict[str, Any], b: dict[str, Any], sign: int | None) -> None:
    assert sign_between(a, b) == sign

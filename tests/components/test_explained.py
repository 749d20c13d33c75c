"""What a target stands for: a class by its name, or a margin between two."""

import pytest

from components.explained import classes_of, supported_class

LABELS = ("NEG", "POS", "A", "A − B", "B")


@pytest.mark.parametrize(
    ("target", "classes"),
    [
        ("POS", ("POS",)),
        ("POS − NEG", ("POS", "NEG")),
        ("NEG − POS", ("NEG", "POS")),
        ("A − B", ("A − B",)),  # a class of this name comes before the margin of two others
        ("A − B − POS", ("A − B", "POS")),
        ("POS − A − B", ("POS", "A − B")),
        ("POS − C", ()),
        ("margin", ()),
    ],
)
def test_classes_of_a_target(target: str, classes: tuple[str, ...]) -> None:
    assert classes_of(target, LABELS) == classes
    assert supported_class(target, LABELS) == (classes[0] if classes else None)

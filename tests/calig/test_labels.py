"""Label columns: one reading for the whole column, and an error where there could be two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calig import InvalidInputError, explain
from calig.labels import check_class_names, read_labels

SIGNS = ("NEG", "POS")
STARS = ("1", "2", "3", "4", "5")


@pytest.mark.parametrize(
    ("values", "names", "read"),
    [
        (["POS", None, "", float("nan"), np.float32("nan")], SIGNS, ["POS", None, None, None, None]),
        ([1, 0, None], SIGNS, ["POS", "NEG", None]),
        (["1", "0", "1.0"], SIGNS, ["POS", "NEG", "POS"]),
        ([1.0, 0.0, float("nan")], SIGNS, ["POS", "NEG", None]),
        ([True, False], SIGNS, ["POS", "NEG"]),
        (list(np.array([1, 0])), SIGNS, ["POS", "NEG"]),
        # "5" is no index of five classes, so all are names
        (["5", "1", "2"], STARS, ["5", "1", "2"]),
        ([5, 1, 2], STARS, ["5", "1", "2"]),
        # names that are their own indices
        (["0", "1"], ("0", "1"), ["0", "1"]),
        # each value says itself which reading is meant
        (["class:2", "index:0", None], STARS, ["2", "1", None]),
        (["class:x"], ("class:x", "x"), ["class:x"]),
        ([], SIGNS, []),
    ],
)
def test_a_column_has_one_reading(values: list[Any], names: tuple[str, ...], read: list[str | None]) -> None:
    assert read_labels(values, names) == read


@pytest.mark.parametrize(
    ("values", "names", "words"),
    [
        # the reading by index would fit, but who writes 1 may mean the class called 1
        ([0, 1, 2, 3, 4], STARS, "could be class names or class indices\ngot: row 1: '1' is the class '1' or the index of '2'"),
        ([1, 2, 3, 4], STARS, "could be"),
        ([0.0, 1.0], STARS, "could be"),
        (["0", "1"], ("1", "2"), "row 1: '1'"),
        (["2"], ("5", "2", "1"), "row 0: '2' is the class '2' or the index of '1'"),
        (
            ["POS", "0"],
            SIGNS,
            "names and class indices\ngot: row 0: 'POS' is the class 'POS'; row 1: '0' is the index of 'NEG'",
        ),
        (["01", "00"], ("01", "00"), "could be"),
        (["good", "good", "bad", "POS", 7], SIGNS, "'good' (2 rows), 'bad' (1 rows), '7' (1 rows)"),
        ([2.0, 5.0], STARS, "'5.0' (1 rows)"),
        ([-1], SIGNS, "'-1' (1 rows)"),
        ([float("inf")], SIGNS, "'inf'"),
        (["1" * 5000], SIGNS, "does not have"),
        ([10**5000], SIGNS, "more than 18 digits"),
        (["class:best", "index:9"], SIGNS, "'class:best' (1 rows), 'index:9' (1 rows)"),
    ],
)
def test_two_readings_or_none_are_refused(values: list[Any], names: tuple[str, ...], words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_labels(values, names)
    assert words in str(caught.value)
    assert "next: " in str(caught.value)


def test_two_classes_of_one_name_are_refused() -> None:
    check_class_names(SIGNS)
    with pytest.raises(InvalidInputError, match="same name\ngot: 'A'"):
        check_class_names(("A", "B", "A"))


def _renamed(model: Any, *names: str) -> Any:
    """The same model under other class names."""
    import copy

    other = copy.deepcopy(model)
    other.config.id2label = dict(enumerate(names))
    return other


def test_the_library_reads_labels_as_strictly(bert: Any) -> None:
    model, tokenizer = bert
    texts = ["the film is not good", "great film !"]
    names = list(model.config.id2label.values())
    by_index = explain(model, tokenizer, texts, target="gold", labels=[1, 0])
    assert [one.target for one in by_index] == [names[1], names[0]]
    with pytest.raises(InvalidInputError, match="mix class names"):
        explain(model, tokenizer, texts, target="gold", labels=[names[1], "0"])
    with pytest.raises(InvalidInputError, match="1 labels for 2 inputs"):
        explain(model, tokenizer, texts, labels=[names[1]])
    with pytest.raises(InvalidInputError, match="does not have"):
        explain(model, tokenizer, texts, labels=["best", names[0]])  # also when the target does not need them


def test_classes_called_like_an_option_can_be_targeted(bert: Any) -> None:
    model, tokenizer = bert
    texts = ["the film is not good", "great film !"]
    other = _renamed(model, "gold", "margin")
    for index, name in enumerate(("gold", "margin")):
        for one in explain(other, tokenizer, texts, target=f"class:{name}", objective="logit"):
            assert one.target == name
            assert one.f_input == pytest.approx(one.logits[index])
    assert explain(_renamed(model, "good", "bad"), tokenizer, texts, target="class:bad")[0].target == "bad"
    with pytest.raises(InvalidInputError, match="same name"):
        explain(_renamed(model, "A", "A"), tokenizer, texts)

"""Data sets of pairs of texts: both columns reach the examples, bad rows keep their place, both texts are pinned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.common.errors import InputError
from components.datasets import load
from schemas.release import DatasetRef, Example

ROWS: list[dict[str, Any]] = [
    {"text": "a man sleeps", "text_pair": "he is awake", "label": "NEG", "genre": "x"},
    {"text": "a dog", "text_pair": "an animal", "label": "POS", "genre": "y"},
]


def loaded(folder: Path, rows: list[dict[str, Any]]) -> tuple[DatasetRef, list[Example]]:
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load(path, limit=None, labels=("NEG", "POS"), modality="text")


def test_both_texts_are_read(tmp_path: Path) -> None:
    ref, examples = loaded(tmp_path, ROWS)
    assert ref.has_pairs
    assert ref.segment_columns == ("genre",)
    assert [(e.text, e.text_pair, e.problem) for e in examples] == [(r["text"], r["text_pair"], None) for r in ROWS]
    assert examples[0].full_text == "a man sleeps\nhe is awake"
    assert (examples[0].full_text or "")[examples[0].pair_start :] == "he is awake"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"text_pair": ""}, "the second text of the pair is empty"),
        ({"text_pair": None}, "the second text of the pair is empty"),
        ({"text": " "}, "the text is empty"),
        ({"text_pair": ["a"]}, "the second text of the pair is a list, not a string"),
    ],
)
def test_a_bad_row_keeps_its_place(tmp_path: Path, value: dict[str, Any], problem: str) -> None:
    _, examples = loaded(tmp_path, [ROWS[0] | value, ROWS[1]])
    assert [example.problem for example in examples] == [problem, None]


def test_a_row_without_the_column_is_a_bad_row(tmp_path: Path) -> None:
    _, examples = loaded(tmp_path, [{"text": "alone", "label": "POS"}, ROWS[1]])
    assert [example.problem for example in examples] == ["the second text of the pair is empty", None]


def test_the_second_text_is_pinned(tmp_path: Path) -> None:
    digest = loaded(tmp_path, ROWS)[0].digest
    assert loaded(tmp_path, [ROWS[0] | {"text_pair": "he is awake."}, ROWS[1]])[0].digest != digest
    assert loaded(tmp_path, [{k: v for k, v in row.items() if k != "text_pair"} for row in ROWS])[0].digest != digest


def test_rationales_of_both_sides_are_one(tmp_path: Path) -> None:
    marked = [ROWS[0] | {"rationale": [[6, 12]], "rationale_pair": [[6, 11]]}, ROWS[1] | {"rationale": [[0, 1]]}]
    ref, (first, second) = loaded(tmp_path, marked)
    assert [(first.full_text or "")[a:b] for a, b in first.rationale or ()] == ["sleeps", "awake"]
    assert second.rationale is None  # of one side nothing is known
    assert ref.has_rationales


def test_a_rationale_outside_the_second_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lies outside its text"):
        loaded(tmp_path, [ROWS[0] | {"rationale": [], "rationale_pair": [[0, 12]]}])

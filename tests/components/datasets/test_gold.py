"""Gold numbers and lists of labels: every format alike, and what is neither is said before any work."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.common.errors import InputError
from components.datasets import load, load_again
from components.datasets.gold import Gold, gold_column
from components.table.gold import EXPLAINED_LABEL
from schemas.release import LabelKind

LABELS = ("insult", "threat", "spam")


def write(folder: Path, kind: str, labels: list[Any]) -> Path:
    rows = [{"text": f"text {i}", "label": label} for i, label in enumerate(labels)]
    path = folder / f"rows.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        cells = [json.dumps(label).replace('"', '""') if isinstance(label, list) else label for label in labels]
        lines = [f'text {i},"{"" if cell is None else cell}"\n' for i, cell in enumerate(cells)]
        path.write_text("".join(["text,label\n", *lines]), encoding="utf-8")
    return path


def read(path: Path, labels: tuple[str, ...] = LABELS, **options: Any):
    return load(path, limit=None, labels=labels, modality="text", **options)


def read_gold(values: list[Any], labels: tuple[str, ...], kind: LabelKind, name: str) -> list[Gold]:
    """The gold answers of a column that is held as a whole."""
    column = gold_column(labels, kind, name)
    for number, value in enumerate(values):
        column.add(number, value)
    read = column.reading()
    return [read(value) for value in values]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_numbers_are_read_alike_from_every_format(tmp_path, kind):
    pinned, examples = read(write(tmp_path, kind, [3.5, -2.0, None]), ("rating",), label_kind="value")
    assert [(e.gold_value, e.label, e.gold_labels) for e in examples] == [(3.5, None, None), (-2.0, None, None), (None,) * 3]
    assert (pinned.has_labels, pinned.label_kind) == (True, "value")
    (tmp_path / "other").mkdir()
    other, _ = read(write(tmp_path / "other", "jsonl", [3.5, -2.0, None]), ("rating",), label_kind="value")
    assert pinned.digest == other.digest
    assert pinned.digest != read(write(tmp_path, kind, [3.5, -2.5, None]), ("rating",), label_kind="value")[0].digest


@pytest.mark.parametrize(
    "value", ["good", "3,5", "1_000", "nan", "inf", float("nan"), float("inf"), True, [1.0], "0x10", 10**400]
)
def test_what_is_no_finite_number_is_refused_with_its_row(value):
    with pytest.raises(InputError, match=r"rows: the model is a regression.*\ngot: row 1: ") as caught:
        read_gold(["2.5", value, None], ("rating",), "value", "rows")
    assert "an empty cell" in str(caught.value)


def test_numbers_may_be_written_in_several_ways():
    read_as = [gold.gold_value for gold in read_gold(["1e3", " -2 ", 3, Decimal("0.5"), "", "  "], ("rating",), "value", "rows")]
    assert read_as == [1000.0, -2.0, 3.0, 0.5, None, None]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_lists_of_labels_are_read_alike_from_every_format(tmp_path, kind):
    pinned, examples = read(write(tmp_path, kind, [["spam", "insult"], [], None]), label_kind="classes")
    assert [e.gold_labels for e in examples] == [("insult", "spam"), (), None], "in the model's order"
    assert [e.label for e in examples] == [None] * 3
    assert [e.has_gold for e in examples] == [True, True, False]
    assert pinned.label_kind == "classes"


def test_one_label_alone_is_a_list_of_one_and_indices_are_labels_too():
    assert [gold.gold_labels for gold in read_gold(["spam", ""], LABELS, "classes", "rows")] == [("spam",), None]
    assert [gold.gold_labels for gold in read_gold([[2, 0], [1]], LABELS, "classes", "rows")] == [("insult", "spam"), ("threat",)]
    assert read_gold(["[x]"], ("[x]", "y"), "classes", "rows")[0].gold_labels == ("[x]",), "a class may be called so"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["insult", "rude"], "labels that the model does not have"),
        ('["insult"', "the labels are no list of labels"),
        ('["insult", null]', "the labels are no list of labels"),
        ([["insult"]], "the labels are no list of labels"),
        ([1, "insult"], "mix class names and class indices"),
    ],
)
def test_what_is_no_list_of_labels_is_refused(value, message):
    with pytest.raises(InputError, match=message):
        read_gold([value], LABELS, "classes", "rows")


def test_rows_are_named_by_their_numbers_however_many_labels_stand_before_them():
    with pytest.raises(
        InputError, match=r"row 0: 'insult' is the class 'insult'; row 0: 'spam' .*; row 2: '1' is the index of 'threat'"
    ):
        read_gold([["insult", "spam"], [], ["spam", 1]], LABELS, "classes", "rows")


def test_a_list_is_refused_where_a_row_has_one_class(tmp_path):
    with pytest.raises(InputError, match=r"row 0.*insult"):
        read(write(tmp_path, "jsonl", [["insult"]]))


def test_gold_labels_stand_in_rows_of_their_own(tmp_path):
    path = write(tmp_path, "jsonl", [["insult", "spam"], [], None, ["threat"]])
    pinned, examples = read(path, label_kind="classes", per_label="gold")
    assert [(e.row, e.id, e.asked_class) for e in examples] == [
        (0, "0 · insult", "insult"),
        (1, "0 · spam", "spam"),
        (2, "2", None),
        (3, "3 · threat", "threat"),
    ]
    assert [e.segments.get(EXPLAINED_LABEL) for e in examples] == ["insult", "spam", None, "threat"]
    assert (pinned.n_rows, pinned.n_without_label, pinned.per_label) == (4, 1, "gold")
    again, same = load_again(pinned, LABELS)
    assert (again, list(same)) == (pinned, list(examples))


def test_a_set_without_any_gold_label_has_nothing_to_explain(tmp_path):
    with pytest.raises(InputError, match="No row has a gold label to explain"):
        read(write(tmp_path, "jsonl", [[], []]), label_kind="classes", per_label="gold")

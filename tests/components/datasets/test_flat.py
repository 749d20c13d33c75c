"""Two passes over rows that are read once: memory does not grow with them, and what pins them stays what it was."""

from __future__ import annotations

import csv
import json
import tracemalloc
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from calig import labels
from calig.errors import InvalidInputError
from components.common.errors import InputError
from components.datasets import load, pinning, rows
from components.datasets.columns import MAX_VALUES, SegmentColumns
from schemas.release import Example

LABELS = ("NEG", "POS")
SEVERAL = ("insult", "threat", "spam")
ROWS: list[dict[str, Any]] = [
    {"id": "a", "text": "A warm, funny film.", "label": "POS", "genre": "comedy", "long": False, "rationale": [[2, 6], [8, 13]]},
    {"id": "b", "text": 'Dull, "cold"\nand slow', "label": "NEG", "genre": "drama", "long": True, "rationale": []},
    {"id": "c", "text": "Ω is a plot", "label": None, "genre": None, "long": True, "rationale": None},
]
LISTS = [{"text": f"text {i}", "label": label} for i, label in enumerate([["insult", "spam"], [], None, ["threat"]])]
NUMBERS = [{"text": f"text {i}", "label": label} for i, label in enumerate([3.5, -2.0, None])]
PAIRS = [
    {
        "text": "a man sleeps",
        "text_pair": "he is awake",
        "label": "NEG",
        "genre": "x",
        "rationale": [[6, 12]],
        "rationale_pair": [[6, 11]],
    },
    {"text": "a dog", "text_pair": "", "label": "POS", "genre": "y"},
]
ANNOTATED = [{"text": "A warm film", "rationales": [[[2, 6]], [[0, 6], [7, 11]], []]}, {"text": "", "rationales": None}]
PICTURES = [{"image": name, "label": "NEG"} for name in ("red.ppm", "gone.ppm", None)]


def write_jsonl(path: Path, given: Any) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in given)
    return path


@pytest.mark.parametrize(
    ("given", "options", "digest"),
    [
        (ROWS, {}, "b883857dcf90be049eee43479b1482e306f23f24e4e3fdcb620cc1f39886fb3b"),
        (ROWS, {"per_label": "each"}, "54906266f6defd03af2787dabeb8f92cfa653c2a08783ee8ff91e41b73a2a0f6"),
        (LISTS, {"labels": SEVERAL, "label_kind": "classes"}, "c6f6bff2388f084de1c99c513e2e04df7b2718fc8de8e9dd2096308e98fba6be"),
        (
            LISTS,
            {"labels": SEVERAL, "label_kind": "classes", "per_label": "gold"},
            "1b4f06edfbed6c54c8367b52c6245a8a9c7d165886773d8f3364a6ff0ec8dc58",
        ),
        (NUMBERS, {"labels": ("n",), "label_kind": "value"}, "37b72b1b017b357ee25978e6c574ca554ae669b68bc233d68f25b14379dcf9be"),
        (PAIRS, {}, "4346eb7b650c51ba82a99098f85bddfc313da4ca12d403bdec9dc903282ac44e"),
        (ANNOTATED, {}, "5fe39febe0177649d8945480c5211a73dd124425708815ef945f4758008a4762"),
        (PICTURES, {"modality": "image"}, "d0040656139e43c9dc03414195c3fb774c52f899a30658feffbd0322fb857273"),
    ],
)
def test_digests_are_those_of_the_release_before(
    given: list[dict[str, Any]], options: dict[str, Any], digest: str, tmp_path: Path
) -> None:
    """Computed by the release that held all rows: published records pin their data by them."""
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.ppm")
    how = {"limit": None, "labels": LABELS, "modality": "text"} | options
    assert load(write_jsonl(tmp_path / "rows.jsonl", given), **how)[0].digest == digest


def many(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        yield {"id": f"row-{i}", "text": f"the film {i} is {'very ' * (i % 40)}good", "label": LABELS[i % 2], "site": f"s{i % 5}"}


def write_csv(path: Path, given: Any) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["id", "text", "label", "site"])
        writer.writeheader()
        writer.writerows(given)
    return path


def write_parquet(path: Path, given: Any) -> Path:
    pq.write_table(pa.Table.from_pylist(list(given)), path, row_group_size=500)
    return path


def peak_of(path: Path, **options: Any) -> int:
    """Most bytes that Python and NumPy hold while the rows are read, and gone through once more."""
    tracemalloc.start()
    _, examples = load(path, limit=None, labels=LABELS, modality="text", **options)
    assert sum(example.text is not None for example in examples) == len(examples)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.jsonl", write_jsonl), ("a.csv", write_csv), ("a.parquet", write_parquet)],
    ids=["jsonl", "csv", "parquet"],
)
def test_memory_does_not_grow_with_rows(name: str, write: Callable[[Path, Any], Path], tmp_path: Path) -> None:
    """A row costs eight bytes in each of two files, and eight for its id, twice while ids are sorted; as an object 2.4 kB."""
    few, more = (write(tmp_path / f"{n}{name}", many(n)) for n in (2000, 6000))
    peak_of(few)  # what libraries need once
    assert (peak_of(more) - peak_of(few)) / 4000 < 100


def test_a_row_for_every_label_costs_no_more(tmp_path: Path) -> None:
    few, more = (write_jsonl(tmp_path / f"{n}.jsonl", many(n)) for n in (1000, 3000))
    peak_of(few, per_label="each")
    assert (peak_of(more, per_label="each") - peak_of(few, per_label="each")) / 2000 < 200


def test_a_file_that_changes_after_it_was_read_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second pass is over what the first one read: with the segments and labels of one file, never with rows of another."""
    path = write_jsonl(tmp_path / "a.jsonl", ROWS)
    module = import_module("components.datasets.load")
    read, expected = module.read_rows, load(path, limit=None, labels=LABELS, modality="text")

    def then_replaced(*arguments: Any) -> Iterator[Any]:
        yield from read(*arguments)
        write_jsonl(path, [{"id": 1, "text": "other", "label": 0, "genre": "z"}] * 2)

    monkeypatch.setattr(module, "read_rows", then_replaced)
    pinned, examples = load(path, limit=None, labels=LABELS, modality="text")
    assert (pinned, list(examples)) == (expected[0], list(expected[1]))
    assert path.read_text().count("other") == 2


def test_pictures_are_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    open_picture = rows.open_picture
    monkeypatch.setattr(rows, "open_picture", lambda path: opened.append(path) or open_picture(path))
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.ppm")
    _, examples = load(write_jsonl(tmp_path / "a.jsonl", PICTURES), limit=None, labels=LABELS, modality="image")
    assert [example.problem is None for example in [*examples, *examples[:1]]] == [True, False, False, True]
    assert opened == [tmp_path.resolve() / "red.ppm"]


def literal_segments(values: dict[str, list[Any]]) -> tuple[str, ...]:
    """The rule over whole columns."""
    found = []
    for name, column in values.items():
        texts = {str(v).lower() if isinstance(v, bool) else str(v) for v in column if v not in (None, "")}
        plain = all(isinstance(v, (str, bool, int, type(None))) for v in column)
        decimals = all("." in text for text in texts)
        if plain and 0 < len(texts) <= MAX_VALUES and not decimals:
            found.append(name)
    return tuple(sorted(found))


_CELL = st.one_of(st.none(), st.booleans(), st.integers(0, 30), st.sampled_from(["", "a", "b", "0.5", "1.5"]), st.just([1]))
_COLUMN = st.one_of(st.lists(st.integers(0, 30), min_size=30, max_size=30), st.lists(_CELL, min_size=30, max_size=30))


@given(st.dictionaries(st.sampled_from(["one", "two", "three"]), _COLUMN, min_size=1))
def test_segments_are_those_of_whole_columns(values: dict[str, list[Any]]) -> None:
    columns = SegmentColumns()
    for row in zip(*values.values(), strict=True):
        columns.add(dict(zip(values, row, strict=True)))
    # of texts of decimals some may be whole: only the rule's words are repeated above
    assert columns.names() == literal_segments(values)


def test_a_column_that_begins_late_is_a_segment() -> None:
    columns = SegmentColumns()
    for row in ({"text": "a"}, {"text": "b", "site": "x"}, {"text": "c", "": "y", "tags": ["z"]}):
        columns.add(row)
    assert columns.names() == ("site",)
    assert set(columns.possible) == {"site"}


def test_the_first_ten_repeated_ids_are_named_in_their_order(tmp_path: Path) -> None:
    names = [f"id {i}" for i in range(12)]
    path = write_jsonl(tmp_path / "a.jsonl", [{"id": name, "text": "x"} for name in [*names, "once", *names[::-1]]])
    with pytest.raises(InputError) as caught:
        load(path, limit=None, labels=LABELS, modality="text")
    assert f"got: {', '.join(names[:10])}\n" in str(caught.value)


def test_ids_that_share_a_digest_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinning, "id_digest", lambda _: 7)
    examples = load(write_jsonl(tmp_path / "a.jsonl", ROWS), limit=None, labels=LABELS, modality="text")[1]
    assert [example.id for example in examples] == ["a", "b", "c"]
    with pytest.raises(InputError, match="got: a\n"):
        load(write_jsonl(tmp_path / "b.jsonl", [*ROWS, ROWS[0]]), limit=None, labels=LABELS, modality="text")


#: Each file has all of what is wrong below it too; what is said first is what was said first when all rows were held.
_WRONG = [
    ("A line is not valid JSON", {}, "{"),
    ("no column 'text'", {"txt": ""}, ""),
    ("labels that the model does not have", {"label": "other"}, ""),
    ("A row has no id", {"id": ""}, ""),
    ("Ids in a.jsonl are not unique", {"id": "a"}, ""),
]


@pytest.mark.parametrize("first", range(len(_WRONG)))
def test_the_first_of_several_faults_is_told(first: int, tmp_path: Path) -> None:
    faults = _WRONG[first:]
    given = [dict(ROWS[0]), dict(ROWS[1])]
    for message, change, _ in faults[::-1]:
        given[1] |= change
        if "no column" in message:
            given = [{("txt" if name == "text" else name): value for name, value in row.items()} for row in given]
    path = write_jsonl(tmp_path / "a.jsonl", given)
    path.write_text(path.read_text() + "".join(line for _, _, line in faults))
    with pytest.raises(InputError, match=faults[0][0]):
        load(path, limit=None, labels=LABELS, modality="text")


def test_a_column_of_anything_but_labels_is_counted_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "_MOST_UNKNOWN", 3)
    column = labels.LabelColumn(LABELS)
    for row in range(100):
        column.add(row, f"free text {row % 50}")
    with pytest.raises(
        InvalidInputError, match=r"got: 'free text 0' \(2 rows\), 'free text 1' \(2 rows\), 'free text 2' \(2 rows\)\n"
    ):
        column.reading()


@pytest.mark.parametrize("kind", [pa.binary(3), pa.dictionary(pa.int32(), pa.binary())])
def test_bytes_of_every_kind_are_no_text(kind: Any, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": pa.array([b"abc"], pa.binary()).cast(kind)}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="holds bytes, not text"):
        load(tmp_path / "a.parquet", limit=None, labels=LABELS, modality="text")


def test_dates_and_decimals_are_the_texts_that_they_were(tmp_path: Path) -> None:
    from datetime import datetime
    from decimal import Decimal

    columns = {"text": [datetime(2020, 1, 2, 3)], "id": [Decimal("1.50")]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    (example,) = load(tmp_path / "a.parquet", limit=None, labels=LABELS, modality="text")[1]
    assert example == Example(row=0, id="1.50", text="2020-01-02 03:00:00")

"""Validation sets: every format gives the same rows and digest, every mistake an error that helps."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from components.common.errors import InputError
from components.datasets import load
from schemas.release import DatasetRef, Example

LABELS = ("NEG", "POS")
ROWS: list[dict[str, Any]] = [
    {"id": "a", "text": "A warm, funny film.", "label": "POS", "genre": "comedy", "long": False, "rationale": [[2, 6], [8, 13]]},
    {"id": "b", "text": 'Dull, "cold"\nand slow', "label": "NEG", "genre": "drama", "long": True, "rationale": []},
    {"id": "c", "text": "Ω is a plot", "label": None, "genre": None, "long": True, "rationale": None},
]


def _write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(
            {key: json.dumps(value) if isinstance(value, list) else value for key, value in row.items()} for row in rows
        )
    return path


def _write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def _write_saved(path: Path, rows: list[dict[str, Any]]) -> Path:
    import datasets

    datasets.Dataset.from_list(rows).save_to_disk(str(path))
    return path


WRITERS = {
    "rows.csv": _write_csv,
    "rows.jsonl": _write_jsonl,
    "rows.jsonl.gz": _write_jsonl,
    "rows.parquet": _write_parquet,
    "rows": _write_saved,
}


def _load(path: Path, *, limit: int | None = None, labels: tuple[str, ...] = LABELS) -> tuple[DatasetRef, list[Example]]:
    return load(path, limit=limit, labels=labels, modality="text")


def _refused(path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        _load(path, **options)
    return str(caught.value)


@pytest.mark.parametrize("name", WRITERS)
def test_rows_of_every_format(tmp_path: Path, name: str) -> None:
    ref, examples = _load(WRITERS[name](tmp_path / name, ROWS))

    assert [example.id for example in examples] == ["a", "b", "c"]
    assert [example.row for example in examples] == [0, 1, 2]
    assert [example.text for example in examples] == [row["text"] for row in ROWS]
    assert [example.label for example in examples] == ["POS", "NEG", None]
    assert [example.rationale for example in examples] == [((2, 6), (8, 13)), (), None]
    assert examples[0].segments == {"genre": "comedy", "long": "false"}
    assert examples[2].segments == {"long": "true"}
    assert all(example.problem is None for example in examples)
    assert (ref.name, ref.n_rows, ref.segment_columns) == ("rows", 3, ("genre", "long"))
    assert ref.has_labels
    assert ref.has_rationales


def test_digest_does_not_depend_on_the_format(tmp_path: Path) -> None:
    assert len({_load(write(tmp_path / name, ROWS))[0].digest for name, write in WRITERS.items()}) == 1


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_ROW = st.fixed_dictionaries(
    {
        "text": _TEXT,
        "label": st.sampled_from(["NEG", "POS", None]),
        "genre": st.one_of(st.none(), st.sampled_from(["x", "1.0", "NA", "true", "null", " y"])),
        "year": st.integers(0, 3),
        "weight": st.floats(0, 1),
        "fresh": st.booleans(),
        "rationale": st.sampled_from([None, []]),
    }
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(_ROW, min_size=1, max_size=6))
def test_digest_is_a_property_of_the_rows(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    formats = ("rows.csv", "rows.jsonl", "rows.parquet")
    loaded = [_load(WRITERS[name](tmp_path / name, rows)) for name in formats]

    assert len({ref.digest for ref, _ in loaded}) == 1
    assert list(loaded[0][1]) == list(loaded[1][1]) == list(loaded[2][1])
    assert [example.text for example in loaded[0][1]] == [row["text"] for row in rows]
    assert "weight" not in loaded[0][0].segment_columns


@pytest.mark.parametrize(
    ("column", "value"),
    [("id", "z"), ("text", "A warm, funny film!"), ("label", "NEG"), ("genre", "noir"), ("rationale", [[2, 6]])],
)
def test_digest_changes_with_every_column_used(tmp_path: Path, column: str, value: Any) -> None:
    changed = [{**ROWS[0], column: value}, *ROWS[1:]]
    assert (
        _load(_write_jsonl(tmp_path / "a.jsonl", ROWS))[0].digest != _load(_write_jsonl(tmp_path / "b.jsonl", changed))[0].digest
    )


def test_digest_depends_on_the_order(tmp_path: Path) -> None:
    there, back = (_write_jsonl(tmp_path / name, rows) for name, rows in (("a.jsonl", ROWS), ("b.jsonl", ROWS[::-1])))
    assert _load(there)[0].digest != _load(back)[0].digest


@pytest.mark.parametrize("name", WRITERS)
def test_limit_takes_the_first_rows_and_pins_only_them(tmp_path: Path, name: str) -> None:
    ref, examples = _load(WRITERS[name](tmp_path / name, ROWS), limit=2)

    assert [example.id for example in examples] == ["a", "b"]
    assert (ref.limit, ref.n_rows) == (2, 2)
    assert ref.digest == _load(_write_jsonl(tmp_path / "two.jsonl", ROWS[:2]))[0].digest


def test_limit_beyond_the_end_and_below_one(tmp_path: Path) -> None:
    path = _write_jsonl(tmp_path / "a.jsonl", ROWS)
    assert _load(path, limit=99)[0].n_rows == 3
    assert "at least 1" in _refused(path, limit=0)


def test_labels_by_index_are_the_same_rows(tmp_path: Path) -> None:
    by_index = [{**row, "label": label} for row, label in zip(ROWS, (1, 0, None), strict=True)]
    names = _load(_write_jsonl(tmp_path / "names.jsonl", ROWS))[0].digest
    assert {_load(write(tmp_path / f"index-{name}", by_index))[0].digest for name, write in WRITERS.items()} == {names}


@pytest.mark.parametrize("name", WRITERS)
def test_labels_that_could_be_names_or_indices_are_refused(tmp_path: Path, name: str) -> None:
    stars = ("1", "2", "3", "4", "5")
    rows = [{"text": "x", "label": index} for index in range(5)]
    message = _refused(WRITERS[name](tmp_path / name, rows), labels=stars)
    assert f"{name}: the labels could be class names or class indices" in message
    assert "row 1: '1' is the class '1' or the index of '2'" in message
    assert "write each label as class:NAME or index:NUMBER" in message
    explicit = [{"text": "x", "label": f"index:{index}"} for index in range(5)]
    examples = _load(WRITERS[name](tmp_path / f"explicit-{name}", explicit), labels=stars)[1]
    assert [example.label for example in examples] == list(stars)


def test_class_labels_of_a_saved_set_go_by_name_not_by_index(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["POS", "NEG"])})
    saved = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [0, 1, -1]}, features=features)
    saved.save_to_disk(str(tmp_path / "saved"))

    assert [example.label for example in _load(tmp_path / "saved")[1]] == ["POS", "NEG", None]


def test_unknown_labels_are_counted(tmp_path: Path) -> None:
    rows = [{"text": "x", "label": label} for label in ("good", "good", "bad", "POS", 7)]
    message = _refused(_write_jsonl(tmp_path / "a.jsonl", rows))
    assert "'good' (2 rows), 'bad' (1 rows), '7' (1 rows)" in message
    assert "'NEG', 'POS', or an index from 0 to 1" in message


def test_missing_file_and_unknown_format(tmp_path: Path) -> None:
    assert "does not exist" in _refused(tmp_path / "no.csv")
    (tmp_path / "rows.xlsx").write_bytes(b"x")
    assert ".parquet" in _refused(tmp_path / "rows.xlsx")
    (tmp_path / "folder").mkdir()
    assert "not a data set" in _refused(tmp_path / "folder")


@pytest.mark.parametrize("content", ["", "text,label\n"])
def test_no_rows(tmp_path: Path, content: str) -> None:
    for name in ("a.csv", "a.jsonl") if not content else ("a.csv",):
        (tmp_path / name).write_text(content)
        assert "no rows" in _refused(tmp_path / name)


def test_missing_text_column_lists_columns_and_guesses(tmp_path: Path) -> None:
    message = _refused(_write_jsonl(tmp_path / "a.jsonl", [{"texts": "x", "stars": 1}]))
    assert "columns texts, stars" in message
    assert "did you mean 'texts'?" in message


@pytest.mark.parametrize("line", ['{"text": "b"', '["b"]', '{"text": "\\ud800"}'])
def test_a_broken_json_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n\n' + line + "\n", encoding="utf-8")
    assert "a.jsonl, line 3" in _refused(tmp_path / "a.jsonl")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("text\ncafé\n".encode("latin-1"))
    assert "UTF-8" in _refused(tmp_path / "latin.csv")
    (tmp_path / "a.parquet").write_bytes(b"not parquet")
    assert "cannot be read" in _refused(tmp_path / "a.parquet")
    (tmp_path / "a.jsonl.gz").write_bytes(b"not gzip")
    assert "cannot be read" in _refused(tmp_path / "a.jsonl.gz")
    (tmp_path / "ragged.csv").write_text("text,label\na,POS\nb,NEG,1\n")
    assert "ragged.csv, line 3: 3 fields, 2 columns" in _refused(tmp_path / "ragged.csv")
    (tmp_path / "long.csv").write_text("text,label\na,POS,1\nb,NEG,1\n")
    assert "more fields than the header" in _refused(tmp_path / "long.csv")


def test_duplicate_and_missing_ids(tmp_path: Path) -> None:
    assert "not unique" in _refused(_write_jsonl(tmp_path / "a.jsonl", [{"id": 1, "text": "x"}, {"id": "1", "text": "y"}]))
    assert "row 1" in _refused(_write_jsonl(tmp_path / "b.jsonl", [{"id": 1, "text": "x"}, {"text": "y"}]))


def test_ids_default_to_row_numbers(tmp_path: Path) -> None:
    assert [example.id for example in _load(_write_csv(tmp_path / "a.csv", [{"text": "x"}, {"text": "y"}]))[1]] == ["0", "1"]


@pytest.mark.parametrize("text", ["", "  \n", None])
def test_blank_text_is_kept_with_a_problem(tmp_path: Path, text: str | None) -> None:
    _, examples = _load(_write_jsonl(tmp_path / "a.jsonl", [{"text": "x"}, {"text": text}]))
    assert examples[0].problem is None
    assert examples[1].problem == "the text is empty"


@pytest.mark.parametrize("rationale", [[[2, 2]], [[-1, 2]], [[0, 9]], [[0.0, 1]], [[0]], "[[0, 1]", 3])
def test_rationales_outside_the_text_or_malformed(tmp_path: Path, rationale: Any) -> None:
    message = _refused(
        _write_jsonl(tmp_path / "a.jsonl", [{"text": "ok", "rationale": [[0, 2]]}, {"text": "text", "rationale": rationale}])
    )
    assert "row 1" in message


@pytest.mark.parametrize("name", WRITERS)
def test_rationales_of_several_annotators(tmp_path: Path, name: str) -> None:
    rows = [
        {"text": "A warm film", "rationales": [[[2, 6]], [[0, 6], [7, 11]], []]},
        {"text": "A dull film", "rationales": [[[2, 6]], None]},
        {"text": "A film", "rationales": None},
    ]
    ref, examples = _load(WRITERS[name](tmp_path / name, rows))
    assert [example.rationales for example in examples] == [(((2, 6),), ((0, 6), (7, 11)), ()), (((2, 6),),), None]
    assert all(example.rationale is None for example in examples)
    assert ref.has_rationales
    assert ref.segment_columns == ()


def test_the_digest_covers_all_annotators_and_is_as_it_was_without_them(tmp_path: Path) -> None:
    def digest(name: str, *rationales: Any) -> str:
        return _load(_write_jsonl(tmp_path / name, [{"text": "A warm film", "rationales": each} for each in rationales]))[
            0
        ].digest

    assert len({digest("a.jsonl", [[[2, 6]], []]), digest("b.jsonl", [[[2, 6]], [[0, 1]]]), digest("c.jsonl", [[[2, 6]]])}) == 3
    without = _load(_write_jsonl(tmp_path / "d.jsonl", [{"text": "A warm film"}]))[0].digest
    assert digest("e.jsonl", None) == without
    # as the release before computed it
    assert without == "b44dc7e8bccdecd9b1269d46f54776c389efe34d3625a13615e2c6db4af494bb"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"rationales": [[[0, 2]], [[0, 9]]]}, "outside its text.\ngot: row 1, annotator 1: [0, 9) in 4 characters"),
        ({"rationales": [[0, 2]]}, "not a list"),
        ({"rationales": [[[0, 2, 3]]]}, "not a list of spans"),
        ({"rationales": "[[[0, 2]]"}, "not valid JSON"),
        ({"rationales": 3}, "not a list"),
        ({"rationales": [[[0, 2]]], "rationale": [[0, 2]]}, "both a rationale and rationales"),
    ],
)
def test_rationales_that_cannot_be_used_name_the_row(tmp_path: Path, row: dict[str, Any], words: str) -> None:
    message = _refused(_write_jsonl(tmp_path / "a.jsonl", [{"text": "ok"}, {"text": "text", **row}]))
    assert "row 1" in message
    assert words in message


@pytest.mark.parametrize("row", [{"rationale": [[0, 1]]}, {"rationales": [[[0, 1]]]}])
def test_a_picture_has_no_characters_to_mark(tmp_path: Path, row: dict[str, Any]) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    with pytest.raises(InputError, match="a picture has none"):
        load(_write_jsonl(tmp_path / "a.jsonl", [{"image": "red.png", **row}]), limit=None, labels=LABELS, modality="image")


def test_segment_columns_follow_the_rule(tmp_path: Path) -> None:
    rows = [
        {
            "text": f"t{i}",
            "few": f"v{i % 20}",
            "many": f"v{i % 21}",
            "year": 2000 + i % 2,
            "score": i / 7,
            "tags": ["a"],
            "none": None,
        }
        for i in range(42)
    ]
    assert _load(_write_jsonl(tmp_path / "a.jsonl", rows))[0].segment_columns == ("few", "year")


def test_a_dictionary_of_splits_names_them(tmp_path: Path) -> None:
    import datasets

    datasets.DatasetDict({"test": datasets.Dataset.from_list(ROWS)}).save_to_disk(str(tmp_path / "splits"))
    assert str(tmp_path / "splits" / "test") in _refused(tmp_path / "splits")
    assert _load(tmp_path / "splits" / "test")[0].n_rows == 3


def _pictures(folder: Path) -> Path:
    folder.mkdir()
    Image.new("RGB", (8, 8), "red").save(folder / "red.png")
    (folder / "broken.png").write_bytes(b"no picture")
    rows = [{"image": name, "label": "NEG"} for name in ("red.png", "broken.png", "gone.png", None)]
    return _write_jsonl(folder / "pictures.jsonl", rows)


def test_pictures_are_found_beside_the_file_and_checked(tmp_path: Path) -> None:
    ref, examples = load(_pictures(tmp_path / "here"), limit=None, labels=LABELS, modality="image")

    assert examples[0].image == (tmp_path / "here" / "red.png").resolve()
    assert examples[0].problem is None
    assert [example.problem for example in examples[1:]] == [
        "the image cannot be read: UnidentifiedImageError",
        "the image file does not exist: gone.png",
        "the row names no image file",
    ]
    assert ref.modality == "image"


def test_digest_of_pictures_covers_bytes_but_not_the_place(tmp_path: Path) -> None:
    def digest(path: Path) -> str:
        return load(path, limit=None, labels=LABELS, modality="image")[0].digest

    here, there = _pictures(tmp_path / "here"), _pictures(tmp_path / "there")
    assert digest(here) == digest(there)
    Image.new("RGB", (8, 8), "blue").save(there.parent / "red.png")
    assert digest(here) != digest(there)


def test_pictures_inside_a_saved_set_are_refused(tmp_path: Path) -> None:
    import datasets

    _pictures(tmp_path / "here")
    features = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_dict({"image": [str(tmp_path / "here" / "red.png")]}, features=features).save_to_disk(
        str(tmp_path / "saved")
    )
    with pytest.raises(InputError, match="write them to files"):
        load(tmp_path / "saved", limit=None, labels=LABELS, modality="image")


def test_a_text_set_for_an_image_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column 'image'"):
        load(_write_jsonl(tmp_path / "a.jsonl", ROWS), limit=None, labels=LABELS, modality="image")


def test_every_row_once_per_label(tmp_path: Path) -> None:
    path = _write_jsonl(tmp_path / "rows.jsonl", ROWS)
    plain, rows = load(path, limit=None, labels=LABELS, modality="text")
    pinned, each = load(path, limit=2, labels=LABELS, modality="text", per_label="each")
    assert [(e.row, e.id, e.asked_class) for e in each] == [
        (0, "a · NEG", "NEG"),
        (1, "a · POS", "POS"),
        (2, "b · NEG", "NEG"),
        (3, "b · POS", "POS"),
    ]
    assert [e.text for e in each] == [rows[0].text] * 2 + [rows[1].text] * 2
    assert each[1].segments == {"genre": "comedy", "long": "false", "explained label": "POS"}
    assert (pinned.n_rows, pinned.limit, pinned.each_label) == (4, 2, True)
    assert pinned.segment_columns == (*plain.segment_columns, "explained label")
    assert pinned.digest != plain.digest
    assert all(e.asked_class is None for e in rows)
    taken = _write_jsonl(tmp_path / "taken.jsonl", [{"text": "a", "explained label": "x"}])
    with pytest.raises(InputError, match="name of our own"):
        load(taken, limit=None, labels=LABELS, modality="text", per_label="each")

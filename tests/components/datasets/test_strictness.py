"""Nothing in a data file is guessed or dropped in silence: broken quotes, misspelt columns, values that are no text."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.common.errors import InputError
from components.datasets import load, require_usable
from schemas.release import Example

LABELS = ("NEG", "POS")
TWELVE = "text,label\n" + "".join(f"text {i},POS\n" for i in range(12))


def _load(path: Path, modality: str = "text") -> list[Example]:
    return load(path, limit=None, labels=LABELS, modality=modality)[1]


def _refused(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError) as caught:
        _load(path)
    assert "next: " in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (TWELVE.replace("text 3", '"text 3').replace("text 7", 'te"xt 7'), "a.csv, line 9"),
        # both quotes where quotes may be: valid CSV, but rows 4 to 6 would be part of a text
        (TWELVE.replace("text 3", '"text 3').replace("text 7", 'text 7"'), "row 3: 'text 4,POS' inside a field"),
        ('text,label\na,POS\n"half a te', "line 3: unexpected end of data"),
        ("text,label\na,POS\nhalf a te", "line 3: 1 of 2 fields"),
        ("text,label,id\na,POS,1\nb,POS\n", "line 3: 2 of 3 fields"),
        ("text,label\na,POS\nb, c,POS\n", "line 3: 3 fields, 2 columns"),
        ("text,label,text\na,POS,b\n", "several columns of the same name.\ngot: 'text'"),
        ("text;label\na;POS\n", "separated by semicolons"),
        ("text\tlabel\na\tPOS\n", "separated by tabs"),
        ("text|label\na|POS\n", "separated by vertical bars"),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_a_csv_that_is_not_understood_is_refused(tmp_path: Path, content: str, words: str, ending: str) -> None:
    packed = gzip.compress(content.encode()) if ending == "csv.gz" else content
    assert words.replace("a.csv", f"a.{ending}") in _refused(tmp_path / f"a.{ending}", packed)


def test_a_csv_that_is_right_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbftext,label,\r\n"two lines,\nof ""text""",POS,0\r\n\r\nit is 5" wide,NEG,1\r\n')
    examples = _load(path)
    assert [(e.text, e.label) for e in examples] == [('two lines,\nof "text"', "POS"), ('it is 5" wide', "NEG")]
    assert examples[0].segments == {}  # the column without a name is none
    path.write_text('text,label\n"' + "long " * 100_000 + '",POS\n')
    assert len(_load(path)[0].text or "") == 500_000


@pytest.mark.parametrize(
    ("column", "meant"),
    [
        *[(name, "label") for name in ("label ", " label", "labels", "Label", "LABEL", "lable", "Labels")],
        *[
            ("ID", "id"),
            ("Id ", "id"),
            ("ids", "id"),
            ("rational", "rationale"),
            ("Rationale", "rationale"),
            ("rationals", "rationale"),
        ],
    ],
)
def test_a_near_name_is_no_segment(tmp_path: Path, column: str, meant: str) -> None:
    row = json.dumps({"text": "a", column: "POS"}) + "\n"
    message = _refused(tmp_path / "a.jsonl", row)
    assert f"got: column {column!r}" in message
    assert f"did you mean {meant!r}?" in message


@pytest.mark.parametrize(
    "column", ["level", "table", "genre", "idea", "context", "next", "source_id", "label_source", "idx", "bid"]
)
def test_other_names_are_segments(tmp_path: Path, column: str) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "a", "label": "POS", column: "x"}) + "\n")
    assert _load(tmp_path / "a.jsonl")[0].segments == {column: "x"}


@pytest.mark.parametrize("column", ["text_pairs", "Text Pair", "textpair", "text-pair"])
def test_a_near_name_of_the_second_text_is_refused(tmp_path: Path, column: str) -> None:
    assert "did you mean 'text_pair'?" in _refused(tmp_path / "a.jsonl", json.dumps({"text": "a", column: "b"}) + "\n")


def test_rationales_that_do_not_fit_pairs_are_refused(tmp_path: Path) -> None:
    pair = {"text": "a b", "text_pair": "c"}
    several = _refused(tmp_path / "a.jsonl", json.dumps(pair | {"rationales": [[[0, 1]]]}) + "\n")
    assert "several annotators are not supported for pairs" in several
    for row in (pair | {"rationale": [[0, 1]]}, pair | {"rationale_pair": []}, {"text": "a", "rationale_pair": []}):
        assert "need the columns 'text_pair', 'rationale' and" in _refused(tmp_path / "a.jsonl", json.dumps(row) + "\n")


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
@pytest.mark.parametrize("column", ["text", "label", "id"])
def test_bytes_are_no_text(tmp_path: Path, kind: Any, column: str) -> None:
    columns = {"text": pa.array(["good"]), column: pa.array([b"good"], kind)}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    message = _refused(tmp_path / "a.parquet", (tmp_path / "a.parquet").read_bytes())
    assert f"holds bytes, not text.\ngot: column {column!r}" in message


def test_columns_twice_are_refused_in_every_format(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(table, tmp_path / "a.parquet")
    assert "same name" in _refused(tmp_path / "a.parquet", (tmp_path / "a.parquet").read_bytes())
    assert "the key 'text' is given twice" in _refused(tmp_path / "a.jsonl", '{"text": "a", "text": "b"}\n')


def test_nan_is_missing_everywhere(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": NaN, "label": NaN, "rationale": NaN}\n{"text": "a"}\n')
    first, second = _load(tmp_path / "a.jsonl")
    assert (first.text, first.label, first.rationale, first.problem) == ("", None, None, "the text is empty")
    assert second.problem is None
    assert "row 0" in _refused(tmp_path / "b.jsonl", '{"text": "a", "id": NaN}\n')


def test_a_set_without_a_usable_row(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": ""}\n{"text": null}\n')
    examples = _load(tmp_path / "a.jsonl")
    with pytest.raises(InputError, match=r"no row that can be explained.\ngot: the text is empty \(2 rows\)"):
        require_usable(examples, "a.jsonl")
    require_usable([*examples, Example(row=2, id="2", text="x")], "a.jsonl")


def test_dictionaries_and_decimals_of_parquet_are_read(tmp_path: Path) -> None:
    columns = {
        "text": pa.array(["a", "b"]).dictionary_encode(),
        "label": pa.array([1, 0]).dictionary_encode(),
        "price": pa.array([Decimal("1.50"), Decimal("2.50")]),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert [(e.text, e.label) for e in _load(tmp_path / "a.parquet")] == [("a", "POS"), ("b", "NEG")]


def test_a_damaged_gzip_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(TWELVE.encode()))
    packed[20:30] = bytes(10)
    (tmp_path / "a.csv.gz").write_bytes(packed)
    with pytest.raises(InputError):
        _load(tmp_path / "a.csv.gz")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(TWELVE.encode())[:-12])
    with pytest.raises(InputError, match="cannot be read"):
        _load(tmp_path / "b.csv.gz")

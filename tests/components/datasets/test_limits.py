"""A data file is bounded before it is believed: lines, bytes after decompression, rows, columns, nesting; and pictures."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.common.errors import InputError
from components.datasets import load
from components.datasets.limits import Limits
from schemas.release import Example

SMALL = Limits(data_bytes=100_000, value_bytes=10_000, rows=50, columns=5, depth=4)


def _load(path: Path, *, limit: int | None = None, limits: Limits = SMALL) -> list[Example]:
    return load(path, limit=limit, labels=("NEG", "POS"), modality="text", limits=limits)[1]


def _refused(path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        _load(path, **options)
    return str(caught.value)


def _lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _csv(texts: list[str]) -> bytes:
    return "".join(f"{text}\n" for text in ["text", *texts]).encode()


def _write(path: Path, texts: list[str]) -> Path:
    content = _csv(texts) if ".csv" in path.name else _lines(*({"text": text} for text in texts))
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


def _write_parquet(path: Path, texts: list[str]) -> Path:
    pq.write_table(pa.table({"text": texts}), path, compression="zstd")
    return path


def _write_saved(path: Path, texts: list[str]) -> Path:
    import datasets

    datasets.Dataset.from_dict({"text": texts}).save_to_disk(str(path))
    return path


WRITERS: dict[str, Callable[[Path, list[str]], Path]] = {
    **dict.fromkeys(("a.csv", "a.csv.gz", "a.jsonl", "a.jsonl.gz"), _write),
    "a.parquet": _write_parquet,
    "saved": _write_saved,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["short", "a" * 11_000], "too long"),
        (["a" * 9_000] * 20, "too large.\nallowed: 0.0953674 MiB"),
        (["a"] * 51, "too many rows.\nallowed: 50 rows"),
    ],
)
def test_beyond_a_limit_is_refused(tmp_path: Path, name: str, texts: list[str], words: str) -> None:
    path = WRITERS[name](tmp_path / name, texts)
    assert words in _refused(path)
    assert len(_load(path, limit=1)) == 1  # the first row is within the limits, and no more is looked at


#: Prints how much the process grew, MB, by reading the first row of a file.
_GROWTH = """
import sys
from pathlib import Path
import pyarrow.parquet, pyarrow.compute
from components.common.memory import peak_resident_bytes
from components.datasets import load
before = peak_resident_bytes()
assert len(load(Path(sys.argv[1]), limit=1, labels=(), modality="text")[1]) == 1
print((peak_resident_bytes() - before) // 2**20)
"""


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv.gz", "a.parquet"])
def test_a_limit_of_rows_reads_no_more_than_it_needs(tmp_path: Path, name: str) -> None:
    """Two hundred megabytes in a small file: the first row takes a small part of it."""
    path = WRITERS[name](tmp_path / name, ["a" * 1_000_000] * 200)
    assert path.stat().st_size < 2_000_000
    done = subprocess.run([sys.executable, "-c", _GROWTH, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 50


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv.gz"])
def test_a_line_without_end_takes_the_memory_of_a_limited_one(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / name, ["a" * 50_000_000])
    tracemalloc.start()
    try:
        assert "too long" in _refused(path, limit=1)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_ever_new_columns_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(_lines(*({"text": "a", f"column {i}": 1} for i in range(20))))
    assert "too many columns.\nallowed: 5 columns" in _refused(path)
    (tmp_path / "a.csv").write_text(",".join(["text", *map(str, range(9))]) + "\n")
    assert "too many columns" in _refused(tmp_path / "a.csv")
    pq.write_table(pa.table({str(i): ["a"] for i in range(9)}), tmp_path / "a.parquet")
    assert "too many columns" in _refused(tmp_path / "a.parquet")


@pytest.mark.parametrize("depth", [5, 900, 100_000])
@pytest.mark.parametrize("column", ["rationale", "other"])
def test_deep_nesting_is_refused(tmp_path: Path, depth: int, column: str) -> None:
    nested = "[" * depth + "]" * depth
    (tmp_path / "a.jsonl").write_text(f'{{"text": "a", "{column}": {nested}}}\n')
    assert "nested deeper than 4 levels" in _refused(tmp_path / "a.jsonl", limits=Limits(depth=4))
    if column == "rationale" and depth > Limits.depth:
        (tmp_path / "a.csv").write_text(f'text,rationale\na,"{nested}"\n')
        message = _refused(tmp_path / "a.csv", limits=Limits(value_bytes=10**6))
        assert "row 0" in message
        assert len(message) < 2000


@pytest.mark.parametrize("label", ["1" * 4000, "1" * 5000])
def test_labels_of_thousands_of_digits(tmp_path: Path, label: str) -> None:
    (tmp_path / "a.csv").write_text(f"text,label\na,{label}\n")
    assert "labels that the model does not have" in _refused(tmp_path / "a.csv")
    (tmp_path / "a.jsonl").write_text(f'{{"text": "a", "label": {label}}}\n')
    assert "a.jsonl" in _refused(tmp_path / "a.jsonl")


def test_the_environment_sets_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALIG_DATA_MEGABYTES", "1")
    monkeypatch.setenv("CALIG_DATA_ROWS", "3")
    assert (Limits.from_environment().data_bytes, Limits.from_environment().rows) == (2**20, 3)
    path = _write(tmp_path / "a.jsonl", ["a"] * 4)
    with pytest.raises(InputError, match="set CALIG_DATA_ROWS"):
        load(path, limit=None, labels=(), modality="text")
    monkeypatch.setenv("CALIG_DATA_ROWS", "many")
    with pytest.raises(InputError, match="CALIG_DATA_ROWS is not a whole number"):
        load(path, limit=None, labels=(), modality="text")


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    assert "not a regular file" in _refused(tmp_path / "a.jsonl")


def test_pictures_outside_the_folder_are_never_touched(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "below").mkdir(parents=True)
    for path in (tmp_path / "outside.png", folder / "below" / "inside.png"):
        Image.new("RGB", (8, 8), "red").save(path)
    (folder / "link-out.png").symlink_to(tmp_path / "outside.png")
    (folder / "link-in.png").symlink_to(folder / "below" / "inside.png")
    (folder / "ring.png").symlink_to(folder / "ring.png")
    os.mkfifo(folder / "fifo.png")
    (folder / "cut.png").write_bytes((tmp_path / "outside.png").read_bytes()[:-30])
    outside, unusable = "the image file lies outside the data's folder", "the image's path cannot be used"
    expected = {
        "below/inside.png": None,
        "below/../below/inside.png": None,
        "link-in.png": None,
        str(folder / "below" / "inside.png"): None,
        "link-out.png": outside,
        "../outside.png": outside,
        str(tmp_path / "outside.png"): outside,
        "/dev/zero": outside,
        "fifo.png": "the image is not a regular file",
        "below": "the image is not a regular file",
        "cut.png": "the image cannot be read",
        "nul\0.png": unusable,
        "long" * 1250: unusable,
        "x" * 300 + ".png": unusable,
        "ring.png": "the image",
    }
    (folder / "rows.jsonl").write_bytes(_lines(*({"image": name} for name in expected)))
    _, examples = load(folder / "rows.jsonl", limit=None, labels=(), modality="image")
    for example, (name, problem) in zip(examples, expected.items(), strict=True):
        assert (example.problem or "").startswith(problem or "\0") is (problem is not None), (name, example.problem)
        if problem in {outside, unusable}:
            assert example.image is None


def test_a_large_picture_is_the_problem_of_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "large.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "small.png")
    monkeypatch.setattr("calig.pictures.MAX_PIXELS", 100)
    (tmp_path / "rows.jsonl").write_bytes(_lines({"image": "large.png"}, {"image": "small.png"}))
    _, examples = load(tmp_path / "rows.jsonl", limit=None, labels=(), modality="image")
    assert [example.problem for example in examples] == ["the image has too many pixels, 40 x 40", None]

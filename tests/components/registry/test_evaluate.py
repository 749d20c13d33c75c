"""The rows of `mlflow.models.evaluate` as a data set: columns of every dtype, and columns that cannot be written."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.common.errors import InputError
from components.registry.evaluate import write_rows


def written(folder: Path, frame: pd.DataFrame, labels: Any = None, text: str | None = None) -> list[dict[str, Any]]:
    data = SimpleNamespace(features_data=frame, labels_data=labels)
    lines = write_rows(data, folder / "rows.jsonl", text_column=text).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_missing_values_of_every_dtype_are_null(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "text": pd.array(["good", None], dtype="string"),
            "n": pd.array([1, None], dtype="Int64"),
            "site": pd.Categorical(["a", None]),
            "flag": pd.array([True, None], dtype="boolean"),
            "when": pd.to_datetime(["2026-01-02", None]),
        }
    )
    rows = written(tmp_path, frame, labels=pd.Series([1.0, np.nan]))
    assert rows[0] == {"text": "good", "n": 1, "site": "a", "flag": True, "when": "2026-01-02T00:00:00.000", "label": 1.0}
    assert set(rows[1].values()) == {None}


def test_ids_keep_their_digits(tmp_path: Path) -> None:
    """pandas writes ten digits and dates as milliseconds unless told otherwise (huggingface/datasets#8390)."""
    ids = [1e-12, 2e-12, 2**62 + 1]
    assert [row["id"] for row in written(tmp_path, pd.DataFrame({"text": ["a", "b"], "id": ids[:2]}))] == ids[:2]
    assert written(tmp_path, pd.DataFrame({"text": ["a"], "id": ids[2:]}))[0]["id"] == ids[2]


@pytest.mark.parametrize(
    ("frame", "text", "message"),
    [
        (pd.DataFrame({"text": ["a"], "review": ["b"]}), "review", "two columns of one name.\ngot: text\nnext: drop the other"),
        (pd.DataFrame([["a", "b"]], columns=["text", "text"]), None, "two columns of one name"),
        (pd.DataFrame({"text": [b"a\xff"]}), None, "cannot be written as JSON"),
        (pd.DataFrame({"text": ["a"], "month": pd.PeriodIndex(["2026-01"], freq="M")}), None, "cannot be written as JSON"),
    ],
)
def test_what_cannot_be_written_is_an_input_error(tmp_path: Path, frame: pd.DataFrame, text: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        written(tmp_path, frame, text=text)


def test_the_second_text_of_pairs_may_have_any_name(tmp_path: Path) -> None:
    data = SimpleNamespace(features_data=pd.DataFrame({"premise": ["a"], "hypothesis": ["b"]}), labels_data=None)
    path = write_rows(data, tmp_path / "rows.jsonl", text_column="premise", pair_column="hypothesis")
    assert json.loads(path.read_text(encoding="utf-8")) == {"text": "a", "text_pair": "b"}
    with pytest.raises(InputError, match=r"no such column\.\ngot: second"):
        write_rows(data, tmp_path / "rows.jsonl", text_column="premise", pair_column="second")

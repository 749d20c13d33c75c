"""The digest of a table's values: the container does not matter, every value does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.table.value_digest import VALUE_COLUMNS, values_digest
from schemas.attribution import LATER_COLUMNS, SCHEMA
from tests.helpers import sample_tables


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    return pq.read_table(sample_tables.text_table(path, sample_tables.reviews(12, 1), seed=2, boost={})).to_pylist()


def digest(rows: list[dict[str, Any]]) -> str:
    return values_digest(pa.Table.from_pylist(rows, schema=SCHEMA))


def test_compression_row_groups_metadata_and_chunks_do_not_matter(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    pq.write_table(table.replace_schema_metadata({"made": "today"}), tmp_path / "a", compression="gzip", row_group_size=3)
    assert values_digest(pq.read_table(tmp_path / "a")) == values_digest(table)
    assert values_digest(pa.concat_tables([table.slice(0, 5), table.slice(5)])) == values_digest(table)
    assert values_digest(table.slice(2, 3)) == values_digest(table.take([2, 3, 4])) != values_digest(table)


def test_single_texts_have_the_digest_of_tables_before_there_were_pairs(rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    assert values_digest(table.drop_columns([*LATER_COLUMNS])) == values_digest(table)


def test_a_pictures_path_does_not_matter(rows: list[dict[str, Any]]) -> None:
    assert digest([rows[0] | {"image": "/elsewhere/a.png"}]) == digest(rows[:1])


def changed(value: Any) -> Any:
    """The least change of a value, whatever it is."""
    if isinstance(value, list | tuple):
        return [*value[:-1], changed(value[-1])] if value else None
    if isinstance(value, dict):
        return value | {(last := list(value)[-1]): changed(value[last])}
    by_type = {bool: lambda v: not v, int: lambda v: v + 1, str: lambda v: f"{v} ", type(None): lambda _: []}
    by_type[float] = lambda v: float(np.nextafter(np.float32(v), np.float32(9)))
    return by_type[type(value)](value)


@pytest.mark.parametrize("column", VALUE_COLUMNS)
def test_every_value_matters(rows: list[dict[str, Any]], column: str) -> None:
    row = rows[0]
    value = row[column]
    if value is None and pa.types.is_string(SCHEMA.field(column).type):
        other: Any = ""
    elif value is None and not pa.types.is_list(SCHEMA.field(column).type):
        other = 0
    elif pa.types.is_map(SCHEMA.field(column).type):
        (name, last), *rest = value[::-1]
        other = [*rest[::-1], (name, changed(last))]
    else:
        other = changed(value)
    assert digest([row | {column: other}]) != digest([row])


def test_lists_do_not_run_into_each_other(rows: list[dict[str, Any]]) -> None:
    row = rows[0]
    a, b = row | {"layers": [[1.0], [2.0, 3.0]]}, row | {"layers": [[1.0, 2.0], [3.0]]}
    assert digest([a]) != digest([b])
    assert digest([row | {"tokens": ["ab", "c"]}]) != digest([row | {"tokens": ["a", "bc"]}])
    assert digest(rows[:2]) != digest(rows[1::-1])

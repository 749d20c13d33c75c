"""The reader of the attribution table, against the rows that were written."""

from pathlib import Path
from typing import TypedDict

import pyarrow.parquet as pq
import pytest

from components.common.errors import CouldNotRunError, InputError
from components.table import by_id
from components.table import rows as stored
from components.table.orientation import NamedTarget
from components.table.reader import iter_batches, iter_parts, iter_rows
from components.table.rows import read_rows
from schemas.attribution import LATER_COLUMNS, SCHEMA
from tests.helpers.attribution_tables import BagOfWords, attribution_row, problem_row, write_table

MODEL = BagOfWords()


class View(TypedDict):
    id: str
    segments: dict[str, str] | None
    values: list[float] | None


def written(folder: Path, n: int = 600) -> tuple[list[dict[str, object]], list[Path]]:
    rows = [problem_row(i) if i % 7 == 3 else attribution_row(i, model=MODEL, n_content=4) for i in range(n)]
    return rows, write_table(folder, rows, shards=2)


def test_rows_are_what_was_written_in_order_and_no_more(tmp_path: Path) -> None:
    rows, tables = written(tmp_path)
    read = list(iter_rows(tables, View))
    assert [row["id"] for row in read] == [row["id"] for row in rows]
    assert {tuple(row) for row in read} == {("id", "segments", "values")}
    assert read[0]["segments"] == {"site": "a"}
    assert read[0]["values"] == pytest.approx(rows[0]["values"], rel=1e-6)  # float32 in the table
    assert read[3] == {"id": "r3", "segments": None, "values": None}


def test_rows_without_an_attribution_can_be_left_out(tmp_path: Path) -> None:
    rows, tables = written(tmp_path, 20)
    assert [row["id"] for row in iter_rows(tables, View, explained=True)] == [r["id"] for r in rows if "problem" not in r]
    assert set(next(iter_rows(tables, NamedTarget, explained=True))) == {"id", "target", "objective", "target_weights"}


def test_rows_can_be_picked_by_a_column_that_is_not_read(tmp_path: Path) -> None:
    _, tables = written(tmp_path, 20)
    batches = list(iter_batches(tables, ["id"], among=("row", [12, 2, 99])))
    assert [name for batch in batches for name in batch["id"].to_pylist()] == ["r2", "r12"]
    assert not sum(batch.num_rows for batch in iter_batches(tables, ["id"], among=("row", [])))


def test_memory_holds_one_batch(tmp_path: Path) -> None:
    _, tables = written(tmp_path)
    assert [batch.num_rows for batch in iter_batches(tables, ["id"])] == [256, 44, 256, 44]
    assert [len(part) for part in iter_parts(tables, View, rows=200)] == [200, 100, 200, 100]


def test_what_is_not_this_table_is_refused(tmp_path: Path) -> None:
    _, (table, _) = written(tmp_path, 4)
    rows = pq.read_table(table)
    with pytest.raises(CouldNotRunError, match="cannot be read"):
        next(iter_rows([tmp_path / "absent.parquet"], View))
    pq.write_table(rows.drop_columns(["values"]), table)
    with pytest.raises(CouldNotRunError, match=r"lacks columns\ngot: values"):
        next(iter_rows([table], View))
    pq.write_table(rows.replace_schema_metadata({"calig.table_version": "1"}), table)
    with pytest.raises(CouldNotRunError, match=r"another version\ngot: 1\nallowed: "):
        next(iter_rows([table], View))


def test_views_of_the_steps_name_columns_of_the_schema() -> None:
    from components.governance.record import Row as Recorded
    from components.quality.scores.table import Row as Judged

    for view in (NamedTarget, Recorded, Judged):
        assert set(view.__annotations__) <= set(SCHEMA.names)


class Pairs(View):
    pair_start: int | None
    token_types: list[int] | None


def test_tables_from_before_there_were_pairs_hold_none(tmp_path: Path) -> None:
    _, tables = written(tmp_path, 20)
    for path in tables:
        pq.write_table(pq.read_table(path).drop_columns([*LATER_COLUMNS]), path)
    read = list(iter_rows(tables, Pairs))
    assert [row["pair_start"] for row in read] == [None] * 20
    assert {name for name, row in read_rows(tables).items() if row["pair_start"] is None} == {
        row["id"] for row in read if row["values"] is not None
    }
    (batch, *_) = iter_batches(tables, SCHEMA.names)
    assert batch.schema.equals(SCHEMA)


def test_rows_are_found_by_id_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, tables = written(tmp_path)
    rows = read_rows(tables)
    read = {row["id"]: row["values"] for row in iter_rows(tables, View, explained=True)}
    assert list(rows) == list(read)
    assert len(rows) == len(read)
    assert all(rows[key]["id"] == key and rows[key]["values"] == read[key] for key in [*read][::-37])
    monkeypatch.setattr(rows, "_read", None)  # what decodes
    assert "no such row" not in rows


def test_ids_of_one_digest_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, tables = written(tmp_path, 20)
    for module in (stored, by_id):
        monkeypatch.setattr(module, "id_digest", len)
    rows = read_rows(tables)
    assert all(rows[key]["id"] == key for key in rows)
    assert "r999" not in rows
    with pytest.raises(InputError, match=r"not unique\ngot: r0, r1, r2, r3, r4"):
        read_rows([*tables, tables[0]])


def test_digests_are_compared_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours above 2⁵³ are one number as floats: so compared, every row would be looked at for every id, in a copy of all."""
    _, tables = written(tmp_path, 20)
    for module in (stored, by_id):
        monkeypatch.setattr(module, "id_digest", lambda name: 2**62 + int(name[1:]))
    rows = read_rows(tables)
    assert {len(rows._places.of(key)) for key in rows} == {1}


def test_layers_are_the_arrays_that_were_written(tmp_path: Path) -> None:
    written_rows, tables = written(tmp_path, 20)
    rows = read_rows(tables)
    expected = {row["id"]: row["layers"] for row in written_rows if "problem" not in row}
    assert {key: row["layers"].tolist() for key, row in rows.items()} == {
        key: [pytest.approx(layer, rel=1e-6) for layer in layers] for key, layers in expected.items()
    }

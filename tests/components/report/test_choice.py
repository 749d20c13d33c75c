"""What is kept of every row, and which rows are shown: by hand, against versions that hold all rows, and in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.report import build
from components.report.answers import Answers, answer_of, unit_of_outputs
from components.report.choice import NOWHERE, Briefs, choose, ranked, read_briefs
from components.report.payload import embed
from components.report.sections.quality import LayerResidual, layer_residuals
from components.table import gold
from schemas.attribution import SCHEMA
from schemas.base import CheckVerdict
from schemas.config import PipelineConfig, ReportConfig
from schemas.drift import DriftReport, PredictionChange
from tests.helpers import sample_records
from tests.helpers.packed import unpack
from tests.helpers.sample_records import Sample

NO_DRIFT = DriftReport(verdict=CheckVerdict.NOT_APPLICABLE, reason="There is nothing to compare with.")


def briefs(n: int, *, wrong: Any = (), unconverged: Any = (), changed: Any = (), worst: Sequence[int] = ()) -> Briefs:
    """Rows 0 … n − 1, of which these are special; residuals of two layers are 0.01 × row and 0."""
    rows, place = np.arange(n), np.full(n, NOWHERE)
    place[list(worst)] = np.arange(len(worst))
    flags = (np.isin(rows, wrong), ~np.isin(rows, unconverged), np.isin(rows, changed))
    residuals = np.stack([0.01 * rows, np.zeros(n)], axis=1)
    return Briefs(rows, place.astype(np.int32), *flags, residuals, np.array([9.0, 3.0]))


# selection


def test_every_special_group_gets_a_fifth_and_order_fills_the_rest() -> None:
    some = briefs(100, wrong=range(90, 100), unconverged=range(20), changed=[60], worst=[50, 3])
    groups = choose(some, 20)
    rows = {group.name: group.rows for group in groups}
    assert rows == {
        "reasons changed": (50, 3),
        "not converged": (0, 1, 2, 4),
        "answer changed": (60,),
        "wrong": (90, 91, 92, 93),
        "in order": (5, 6, 7, 8, 9, 10, 11, 12, 13),
    }
    assert {group.name: group.found for group in groups}["not converged"] == 20


@given(n=st.integers(3, 40), limit=st.integers(0, 50), seed=st.integers(0, 5))
def test_selection_takes_as_many_rows_as_it_may_and_none_twice(n: int, limit: int, seed: int) -> None:
    unconverged, wrong = np.random.default_rng(seed).integers(n, size=(2, n // 2))
    groups = choose(briefs(n, wrong=wrong, unconverged=unconverged, changed=[2], worst=[1]), limit)
    rows = [row for group in groups for row in group.rows]
    assert len(rows) == len(set(rows)) == min(n, limit)


def test_ranking_puts_changed_reasons_first_and_keeps_the_order_of_equals() -> None:
    some = briefs(6, wrong=[1], unconverged=[3, 5], changed=[2], worst=[4, 0])
    assert ranked(some, 10) == [4, 0, 3, 5, 2, 1]
    assert ranked(some, 3) == [4, 0, 3]


def test_layer_residuals_by_hand() -> None:
    layers = layer_residuals(briefs(5))
    assert layers[0].median == pytest.approx(0.02)
    assert layers[0].percentile_95 == pytest.approx(0.038)  # linear between 0.03 and 0.04
    assert layers[0].worst == pytest.approx(0.04)
    assert [layer.mean_points for layer in layers] == [9.0, 3.0]
    assert layer_residuals(read_briefs([], [], NO_DRIFT)) == []


def test_answers_come_back_by_id() -> None:
    rows = [
        {"id": "a", "predicted": "POS", "logits": [0.5, 1.0]},
        {"id": "b", "predicted": "rating", "logits": [2.25]},
        {"id": "c", "predicted": "rating", "logits": [0.0]},
        {"id": "d", "predicted": "NEG", "logits": None},
    ]
    known = Answers(rows)
    assert len(known) == 4
    assert {row["id"]: known.of(str(row["id"])) for row in rows} == {row["id"]: answer_of(row) for row in rows}
    assert known.of("e") is None
    assert Answers([]).of("a") is None


# against versions that hold every row


def written(folder: Path, rows: list[dict[str, Any]], name: str, order: Sequence[int]) -> list[Path]:
    """`rows` in as many shards as `order` has numbers, listed in this order."""
    paths = [folder / f"{name}-{i}.parquet" for i in range(len(order))]
    for path, part in zip(paths, np.array_split(np.arange(len(rows)), len(order)), strict=True):
        pq.write_table(pa.Table.from_pylist([rows[i] for i in part], schema=SCHEMA), path)
    return [paths[i] for i in order]


def without(row: dict[str, Any], problem: str) -> dict[str, Any]:
    return {name: row[name] for name in ("row", "id", "text", "label", "segments")} | {"problem": problem}


def as_numbers(rows: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """The same rows of a regression; one output is not a number."""
    random = np.random.default_rng(seed)
    outputs = [*random.normal(3, 1, len(rows) - 1).tolist(), float("nan")]
    own: dict[str, Any] = {"predicted": "rating", "label": None, "target": "rating", "target_weights": [("rating", 1.0)]}
    return [row | own | {"logits": [output], "gold_value": 3.0} for row, output in zip(rows, outputs, strict=True)]


def mixed(folder: Path, *, numbers: bool = False) -> Sample:
    """Shards out of order, rows with a problem here and there, a reference that lacks some rows and has problems of its own."""
    sample = sample_records.drifted(folder, n=300)
    ours, theirs = (pq.read_table(paths[0]).to_pylist()[:-1] for paths in (sample.tables, sample.reference_tables or []))
    if numbers:
        ours, theirs = as_numbers(ours, 1), as_numbers(theirs, 2)
        change = PredictionChange(unit=1.0, mean=0.0, median_absolute=0.9, p95_absolute=3.0, n=300, moved=9, error_change=None)
        sample = sample.with_record(drift=sample.record.drift.model_copy(update={"prediction_change": change}))
    ours = [without(row, f"problem {row['row'] % 3}") if row["row"] % 13 == 4 else row for row in ours]
    theirs = [without(row, "gone") if row["row"] % 11 == 0 else row for row in theirs if row["row"] % 7 != 3]
    return Sample(sample.record, written(folder, ours, "ours", [2, 0, 3, 1]), written(folder, theirs, "theirs", [1, 2, 0]))


@pytest.fixture(scope="module", params=[False, True], ids=["classes", "numbers"])
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return mixed(tmp_path_factory.mktemp("mixed"), numbers=request.param)


def table_of(paths: Sequence[Path] | None) -> list[dict[str, Any]]:
    """Every explained row as an object, in the order of the data set."""
    rows = [row for path in paths or () for row in pq.read_table(path).to_pylist() if row["problem"] is None]
    return sorted(rows, key=lambda row: row["row"])


def literal_flags(sample: Sample) -> dict[int, tuple[bool, bool, bool, int | None]]:
    """Wrong, converged, changed, and the place among the drift report's examples, by row."""
    before = {row["id"]: answer_of(row) for row in table_of(sample.reference_tables)}
    worst, unit = [example.id for example in sample.record.drift.worst], unit_of_outputs(sample.record.drift)
    return {
        row["row"]: (
            gold.is_wrong(row),
            row["converged"],
            row["id"] in before and answer_of(row).differs(before[row["id"]], unit),
            worst.index(row["id"]) if row["id"] in worst else None,
        )
        for row in table_of(sample.tables)
    }


def read(sample: Sample) -> Briefs:
    return read_briefs(sample.tables, sample.reference_tables or [], sample.record.drift)


def test_what_is_kept_is_what_the_tables_say(sample: Sample) -> None:
    found, expected = read(sample), literal_flags(sample)
    places = [None if place == NOWHERE else place for place in found.place.tolist()]
    flags = zip(found.wrong.tolist(), found.converged.tolist(), found.changed.tolist(), places, strict=True)
    assert list(zip(found.row.tolist(), flags, strict=True)) == list(expected.items())
    assert found.n_reference == len(table_of(sample.reference_tables))
    assert found.n_unconverged == sum(not converged for _, converged, _, _ in expected.values())
    assert 0 < found.changed.sum() < len(found) < 300, "the case is in the tables"


def test_ranking_is_that_of_a_sort_over_all_rows(sample: Sample) -> None:
    def urgency(item: tuple[int, tuple[bool, bool, bool, int | None]]) -> tuple[int, bool, bool, bool]:
        wrong, converged, changed, place = item[1]
        return NOWHERE if place is None else place, converged, not changed, not wrong

    expected = [row for row, _ in sorted(literal_flags(sample).items(), key=urgency)]
    assert ranked(read(sample), 1000) == expected


def test_layer_residuals_are_those_of_all_rows_at_once(sample: Sample) -> None:
    """Bit for bit."""
    table = table_of(sample.tables)
    residuals, points = (np.array([row[name] for row in table], float) for name in ("residuals", "n_points"))
    columns = (np.median(residuals, axis=0), np.percentile(residuals, 95, axis=0), residuals.max(axis=0), points.mean(axis=0))
    expected = [LayerResidual(i, *map(float, of_layer)) for i, of_layer in enumerate(zip(*columns, strict=True))]
    assert layer_residuals(read(sample)) == expected


def listed(sample: Sample, n: int) -> dict[str, Any]:
    config = PipelineConfig(report=ReportConfig(rows=n))  # type: ignore[call-arg]
    record = sample.record.model_copy(update={"config": config})
    found = embed(record, read(sample), sample.tables, sample.reference_tables or [])
    return unpack(found.blocks[0].data)


def test_a_shorter_list_is_the_beginning_of_the_whole_one(sample: Sample) -> None:
    """Explained rows and then rows with a problem, as many of each as the list may have; numbers and names are the same."""
    whole, some = listed(sample, 1000), listed(sample, 20)
    n = len(whole["id"]) - len(whole["problem"])
    shown = [*range(20), *range(n, n + 20)]
    assert some["id"] == [whole["id"][i] for i in shown]
    assert some["problem"] == whole["problem"][:20]
    for name in ("row", "flags", "drift", "reference_output", "probability", "margin", "residual"):
        np.testing.assert_array_equal(some[name], whole[name][shown])
    for name in ("predicted", "label", "reference", "reference_target"):
        names = [[None if code < 0 else of["classes"][code] for code in of[name]] for of in (some, whole)]
        assert names[0] == [names[1][i] for i in shown]


# memory


def repeated(table: pa.Table, n: int, path: Path) -> Path:
    """`n` rows that repeat those of `table` under numbers and ids of their own."""
    many = table.take(np.arange(n) % table.num_rows)
    many = many.set_column(0, SCHEMA.field("row"), pa.array(range(n), pa.int64()))
    many = many.set_column(1, SCHEMA.field("id"), pa.array([f"row-{i}" for i in range(n)]))
    pq.write_table(many.cast(SCHEMA), path)
    return path


def peak_of(sample: Sample, reference: bool, n: int, folder: Path) -> int:
    """Most bytes that Python and NumPy hold while the report of `n` rows is made, of which it lists ten."""
    tables = [repeated(pq.read_table(sample.tables[0]).slice(0, 100), n, folder / f"{n}.parquet")]
    before = [repeated(pq.read_table(sample.reference_tables[0]).slice(0, 100), n, folder / f"{n}-before.parquet")]
    tracemalloc.start()
    build(sample.record, tables, before if reference else None, path=folder / "report.html")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("reference", [False, True])
def test_memory_does_not_grow_with_rows(reference: bool, tmp_path: Path) -> None:
    """A row costs some numbers, of its reference a digest and an answer; as an object 2 kB, and with a reference more."""
    config = PipelineConfig(report=ReportConfig(rows=10, examples=5))  # type: ignore[call-arg]
    sample = sample_records.drifted(tmp_path, n=120).with_record(config=config)
    build(sample.record, sample.tables, sample.reference_tables, path=tmp_path / "first.html")  # what libraries need once
    first = peak_of(sample, reference, 500, tmp_path)
    assert (peak_of(sample, reference, 2000, tmp_path) - first) / 1500 < 150

"""Scored rows of several shards as one table: the same report bit for bit, whatever the shards; columns read when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from calig.metrics.perturbation import Perturbation
from components.quality import Scoring, column_names, draw_rows
from components.quality.scores.rows import score_rows
from components.quality.scores.scored_table import CurveSums, ScoredTable
from components.quality.suite.build import Single
from components.table.reader import iter_rows
from schemas.config import QualityConfig
from schemas.quality import ExpectationMeta, ExpectationSpec, ScorerRecord
from schemas.shards import DrawnRows
from tests.helpers.attribution_tables import LABELS, MASK, BagOfWords, attribution_row, problem_row, write_table
from tests.helpers.judged import evaluate, scored_shards
from tests.helpers.sample_falsification import falsification

MODEL = BagOfWords()
CONFIG = QualityConfig(bootstrap_draws=100, random_draws=2)
REMOVAL = Perturbation("replace", MASK)
HOW: dict[str, Any] = {"labels": LABELS, "scorer": MODEL, "perturbation": REMOVAL}
NAMES = ("ca_lig", "random", "plain_ig", "layer_ig_mean", "input_x_gradient", "attention_rollout", "attention_gradient_rollout")
FALLEN = falsification({1: (0.01, 0.4, 0.1), 40: (0.02, 0.2, -0.1)})


class Numbered(TypedDict):
    row: int


def rows() -> list[dict[str, Any]]:
    """Sixty rows; two have no attribution, one a broken one, one no label, one a segment that no other has."""
    table = [attribution_row(row, model=MODEL, n_content=6 + row % 9) for row in range(60)]
    table[7], table[50] = problem_row(7), problem_row(50)
    table[9]["values"] = [float("nan")] * len(table[9]["values"])
    table[20]["label"] = None
    table[30]["segments"] = [("site", "b"), ("of.a.kind", "odd")]
    return table


@pytest.mark.parametrize("drawn", [{}, {"control_rows": None}, {"scored_rows": 50, "control_rows": 35}])
def test_a_report_does_not_depend_on_shards(tmp_path: Path, drawn: dict[str, Any]) -> None:
    """Equal to the last bit: the model sums in one order, and means over rows are taken over all at once."""
    config = CONFIG.model_copy(update=drawn)
    folders = [tmp_path / name for name in ("one", "many")]
    for folder in folders:
        folder.mkdir()
    tables = (write_table(folder, rows(), shards=shards) for folder, shards in zip(folders, (1, 7), strict=True))
    one, many = (evaluate(paths, config=config, falsification=FALLEN, **HOW) for paths in tables)
    assert one == many
    assert {check.name for check in one.checks} >= {"better than random by segment: of.a.kind odd"}


def test_columns_are_those_of_the_scored_rows(tmp_path: Path) -> None:
    paths = write_table(tmp_path, rows(), shards=3)
    by = Scoring(config=CONFIG, record=ScorerRecord(runtime="torch", providers=()), **HOW)
    expected = pd.concat([score_rows(path, DrawnRows(), by).frame for path in paths], ignore_index=True)
    every = CONFIG.model_copy(update={"control_rows": None})
    table = ScoredTable(scored_shards(paths, tmp_path, config=every, **HOW), FALLEN, every)
    assert list(table.columns) == column_names(every, ["site", "of.a.kind"])
    assert len(table) == 58
    assert table.n_skipped == 2
    found = table[list(expected.columns)]
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    numbers = expected.select_dtypes("number").columns
    assert (found[numbers].dtypes == expected[numbers].dtypes).all()
    assert table["max_sensitivity"].dropna().to_dict() == {1: 0.01, 39: 0.02}, "row 40 is the 39th that is explained"
    pd.testing.assert_series_equal(table["segment_of.a.kind"], found["segment_of.a.kind"])


def test_the_draw_is_the_first_rows_of_one_order_of_the_explained_ones(tmp_path: Path) -> None:
    config = QualityConfig(scored_rows=40, control_rows=30, seed=3)
    paths = write_table(tmp_path, rows(), shards=7)
    explained = [row["row"] for row in iter_rows(paths, Numbered, explained=True)]
    order = np.random.default_rng([3, 3]).permutation(explained).tolist()
    drawn = draw_rows(paths, config)
    assert len(drawn) == 7
    assert {row for one in drawn for row in one.scored or ()} == set(order[:40])
    assert {row for one in drawn for row in one.compared or ()} == set(order[:30])
    assert draw_rows(paths, QualityConfig(control_rows=None)) == [DrawnRows()] * 7


def test_mean_curves_are_the_mean_of_all_rows_bit_for_bit() -> None:
    random = np.random.default_rng(0)
    curves = random.normal(size=(500, 7, 2, 7))
    curves[random.random((500, 7)) < 0.3] = np.nan
    curves[:, 6] = np.nan
    sums = CurveSums(7)
    for part in np.split(curves, [1, 17, 256, 256, 400]):
        sums.add(part)
    for method in range(6):
        for side in range(2):
            known = curves[:, method, side]
            expected = known[~np.isnan(known[:, 0])].mean(axis=0)
            np.testing.assert_array_equal(sums.mean(NAMES[method], side), expected)
    assert sums.mean(NAMES[6], 0) is None


class _Looks:
    """An expectation of one column."""

    column = "gini"


@pytest.mark.parametrize(
    ("type_", "kwargs", "expectation", "expected"),
    [
        ("expect_column_mean_to_be_between", {"column": "gini"}, _Looks(), ["gini"]),
        ("expect_table_row_count_to_be_between", {"min_value": 30}, object(), ["row"]),
        ("expect_table_column_count_to_equal", {"value": 3}, object(), ["row", "label", "gini", "entropy"]),
        ("mine:ExpectAnything", {"column": "gini"}, _Looks(), ["row", "label", "gini", "entropy"]),
        ("expect_column_mean_to_be_between", {"row_condition": "entropy > 1"}, _Looks(), ["row", "label", "gini", "entropy"]),
        (
            "expect_column_mean_to_be_between",
            {"row_condition": {"type": "comparison", "column": {"name": "label"}, "operator": "==", "parameter": "POS"}},
            _Looks(),
            ["label", "gini"],
        ),
    ],
)
def test_a_check_reads_the_columns_that_it_looks_at(
    type_: str, kwargs: dict[str, Any], expectation: object, expected: list[str]
) -> None:
    spec = ExpectationSpec(type=type_, kwargs=kwargs, meta=ExpectationMeta(name="e"))
    assert Single(spec, expectation).columns(["row", "label", "gini", "entropy"]) == expected


def test_a_shard_without_explained_rows_is_counted(tmp_path: Path) -> None:
    paths = write_table(tmp_path, [problem_row(row) for row in range(5)] + rows()[10:50], shards=9)
    shards = scored_shards(paths, tmp_path, config=CONFIG, **HOW)
    assert (shards[0].n_rows, shards[0].n_skipped) == (5, 5)
    table = ScoredTable(shards, None, CONFIG)
    assert (len(table), table.n_skipped) == (40, 5)
    nothing = ScoredTable(shards[:1], None, CONFIG)
    assert len(nothing["gini"]) == 0


def test_a_part_without_a_column_is_no_part(tmp_path: Path) -> None:
    """Values that are missing would be taken for rows that nothing was measured on."""
    (shard,) = scored_shards(write_table(tmp_path, rows()), tmp_path, config=CONFIG, **HOW)
    pq.write_table(pq.read_table(shard.path).drop_columns("non_finite"), shard.path)
    with pytest.raises(KeyError, match="non_finite"):
        ScoredTable([shard], None, CONFIG)

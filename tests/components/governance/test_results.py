"""How a model did: the error of a regression and the decisions of several labels, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from components.governance.results import model_results
from components.table.gold import COLUMNS, EXPLAINED_LABEL, id_for_label
from schemas.config import QualityConfig

CONFIG = QualityConfig(bootstrap_draws=200)


def row(name: str, **changes: Any) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS) | {"id": name, "segments": {}, "converged": True} | changes


def number(i: int, output: float, gold: float | None) -> dict[str, Any]:
    return row(f"r{i}", predicted="rating", logits=[output], gold_value=gold, target_weights={"rating": 1.0})


def test_the_error_of_a_regression() -> None:
    rows = [number(i, *pair) for i, pair in enumerate([(1.0, 2.0), (4.0, 2.0), (6.0, 5.0), (9.0, None)])]
    found = model_results(rows, CONFIG)
    assert (found.accuracy, found.accuracy_interval, found.predictions, found.labels) == (None, None, {}, ())
    assert (found.n_labelled, found.regression.n) == (3, 3)
    assert found.regression.mean_absolute_error == pytest.approx(4 / 3)
    assert found.regression.root_mean_squared_error == pytest.approx((6 / 3) ** 0.5)
    assert found.regression.r_squared == pytest.approx(1 - 6 / 6)  # squared errors 1, 4, 1; spread of 2, 2, 5 around 3: 1, 1, 4
    interval = found.regression.mean_absolute_error_interval
    assert 1.0 <= interval.low <= 4 / 3 <= interval.high <= 2.0
    assert found.outputs.model_dump() == pytest.approx(
        {"least": 1.0, "percentile_5": 1.45, "median": 5.0, "percentile_95": 8.55, "largest": 9.0, "typical_deviation": 2.5}
    )


def test_equal_numbers_have_no_r_squared_and_no_number_no_error() -> None:
    assert model_results([number(0, 1.0, 2.0), number(1, 3.0, 2.0)], CONFIG).regression.r_squared is None
    assert model_results([number(0, 1.0, None)], CONFIG).regression is None


def several(i: int, logits: list[float], gold: list[str] | None, explained: str | None = None) -> dict[str, Any]:
    weights = {name: float(name == (explained or "a")) for name in ("a", "b")}
    own = {"predicted": "ab"[logits[1] > logits[0]], "logits": logits, "gold_labels": gold, "target_weights": weights}
    if explained is None:
        return row(f"r{i}", **own)
    return row(id_for_label(f"r{i}", explained), segments={EXPLAINED_LABEL: explained}, **own)


def test_accuracy_of_several_labels_counts_every_label_of_a_row_once() -> None:
    cases = [([1.0, 1.0], ["a", "b"]), ([1.0, -1.0], ["b"]), ([-1.0, -1.0], []), ([-1.0, 1.0], None)]
    alone = model_results([several(i, *case) for i, case in enumerate(cases)], CONFIG)
    each = model_results([several(i, *case, explained=name) for i, case in enumerate(cases) for name in "ab"], CONFIG)
    for found in (alone, each):
        assert found.accuracy == pytest.approx(4 / 6), "2 of 2, 0 of 2, 2 of 2; of the last row nothing is known"
        assert found.n_labelled == 3
        a, b = found.labels
        assert (a.label, a.n, a.n_gold, a.accuracy, a.precision, a.recall) == ("a", 3, 1, pytest.approx(2 / 3), 0.5, 1.0)
        assert (b.label, b.n, b.n_gold, b.accuracy, b.precision, b.recall) == ("b", 3, 2, pytest.approx(2 / 3), 1.0, 0.5)
        assert 0.0 <= found.accuracy_interval.low <= 4 / 6 <= found.accuracy_interval.high <= 1.0


def test_one_class_a_row_keeps_wilsons_interval() -> None:
    rows = [
        row(f"r{i}", label="A", predicted="AB"[i == 0], logits=[0.0, 0.0], target_weights={"A": 1.0, "B": -1.0})
        for i in range(10)
    ]
    found = model_results(rows, CONFIG)
    assert (found.accuracy, found.n_labelled, found.predictions) == (0.9, 10, {"A": 9, "B": 1})
    assert (found.accuracy_interval.low, found.accuracy_interval.high) == pytest.approx((0.5958, 0.9821), abs=1e-4)

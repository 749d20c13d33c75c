"""Names of metrics: MLflow admits every one of them, and no two numbers share one."""

from __future__ import annotations

import pytest
from mlflow.utils.validation import _validate_metric_name

from components.registry.evidence.metrics import metric_names

#: Classes and segment values that people have. mlflow/mlflow#4879, #21085, #22165 are about such names in paths.
VALUES = [
    "POS",
    "pos",
    "N/A",
    "and/or/",
    "http://a.b",
    "a/./b",
    "../x",
    "/",
    ".",
    "C++",
    "C#",
    "very good",
    "very_good",
    "😀",
    "日本",
    "",
]
LONG = ["x" * 300 + end for end in "ab"]


@pytest.mark.parametrize("value", [*VALUES, *LONG])
def test_every_name_is_admitted(value: str) -> None:
    (name,) = metric_names([f"drift.rank agreement.class = {value}"]).values()
    _validate_metric_name(name)


def test_no_two_names_become_one() -> None:
    names = metric_names(f"drift.rank agreement.class = {value}" for value in [*VALUES, *LONG])
    assert len({name.casefold() for name in names.values()}) == len(names)  # MySQL does not tell capitals apart


def test_plain_names_stay_readable() -> None:
    names = metric_names(["accuracy", "quality.deletion AUC", "margin.input_x_gradient", "drift.sign-flip rate.class = POS"])
    assert list(names.values()) == [
        "calig.accuracy",
        "calig.quality.deletion_AUC",
        "calig.margin.input_x_gradient",
        "calig.drift.sign-flip_rate.class_POS",
    ]

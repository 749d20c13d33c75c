"""Metrics, tags and description of a record in MLflow: every name is admitted, and no text of others is markup."""

from __future__ import annotations

import pytest
from mlflow.utils.validation import _validate_metric_name

from components.registry.evidence.summary import (
    BEGIN,
    END,
    MAX_DESCRIPTION,
    metric_names,
    metrics_of,
    paragraph_of,
    with_paragraph,
)
from tests.components.registry.publishing import Results

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


def test_metrics_are_the_records_on_the_run_and_on_the_logged_model(results: Results) -> None:
    run = results.client.get_run(results.publish().run_id)

    assert run.data.metrics == pytest.approx(metrics_of(results.record))
    assert run.data.metrics["calig.quality.comprehensiveness"] == 0.4312
    assert run.data.metrics["calig.margin.random"] == 0.666
    assert run.data.metrics["calig.drift.rank_agreement"] == 0.78
    assert run.data.metrics["calig.drift.rank_agreement.class_POS"] == pytest.approx(0.71)
    model = results.client.get_logged_model(results.record.model.model_id)
    assert {metric.key: metric.value for metric in model.metrics} == run.data.metrics


def test_missing_and_infinite_numbers_are_left_out(results: Results) -> None:
    quality = results.record.quality
    broken = tuple(
        metric.model_copy(update={"value": value})
        for metric, value in zip(quality.metrics, (float("inf"), float("nan"), None), strict=False)
    )
    record = results.record.model_copy(
        update={"quality": quality.model_copy(update={"metrics": broken}), "drift": results.record.drift}
    )
    assert not [name for name in metrics_of(record) if name.startswith("calig.quality.")]


def test_a_description_that_would_not_fit_is_left_alone() -> None:
    long = "x" * (MAX_DESCRIPTION - 10)
    assert with_paragraph(long, f"{BEGIN}\nnew\n{END}") == long


def test_run_and_logged_model_say_the_same_below_what_their_owners_wrote(results: Results) -> None:
    model_id = results.record.model.model_id
    results.client.set_logged_model_tags(model_id, {"mlflow.note.content": "Trained by Ada."})
    run = results.client.get_run(results.publish().run_id)
    results.publish(force=True)
    model = results.client.get_logged_model(model_id)
    assert model.tags["mlflow.note.content"].startswith("Trained by Ada.")
    assert model.tags["mlflow.note.content"].count(BEGIN) == 1
    assert model.tags["calig.verdict"] == "fail"
    assert run.data.tags["mlflow.note.content"] == paragraph_of(results.record, run)


def test_words_of_the_data_are_no_markup(results: Results) -> None:
    evil = "the word “[x](javascript:alert(1))” | <img src=x onerror=alert(1)> <!-- calig:end -->"
    drift = results.record.drift.model_copy(update={"reason": evil})
    decision = results.record.decision.model_copy(update={"reasons": (evil,)})
    record = results.record.model_copy(update={"drift": drift, "decision": decision})
    run = results.client.get_run(results.publish().run_id)
    paragraph = paragraph_of(record, run)
    assert "[x](" not in paragraph
    assert "<img" not in paragraph
    assert paragraph.count(END) == 1
    assert all(line.count("|") == 4 for line in paragraph.splitlines() if line.startswith("|"))

"""`mlflow.models.evaluate(…, evaluators="calig")` on a real store: found by its entry point, in the evaluation's own run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest

from components.common.errors import InputError
from components.registry.evaluate import write_rows
from flows.mlflow_evaluator import explain_evaluated
from tests.conftest import TinyRegistry

ROOT = Path(__file__).parents[2]
#: MLflow's own way with pandas, scikit-learn and matplotlib.
pytestmark = pytest.mark.filterwarnings("ignore:::mlflow", "ignore::pandas.errors.Pandas4Warning")
QUICK = {"quality": {"falsification_rows": 0}, "probe": {"enabled": False}, "drift": {"min_rows": 5}}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The package's metadata as its installation writes them, so that MLflow finds the plug-in by itself."""
    folder = tmp_path_factory.mktemp("metadata")
    code = f"from setuptools import setup; setup(script_args=['-q', 'egg_info', '--egg-base', {str(folder)!r}])"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, check=True, capture_output=True)
    sys.path.insert(0, str(folder))
    from mlflow.models.evaluation.evaluator_registry import _model_evaluation_registry

    _model_evaluation_registry.register_entrypoints()
    yield
    sys.path.remove(str(folder))


@pytest.fixture
def tracked(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A registered model, and an experiment of the test's own; the URI of the model.

    By the environment alone: what `mlflow.set_tracking_uri` and `mlflow.set_experiment` set would outlive the test.
    """
    monkeypatch.chdir(tmp_path)
    experiment = mlflow.create_experiment(f"evaluation-{tmp_path.name}", artifact_location=(tmp_path / "artifacts").as_uri())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    return model


@pytest.mark.slow
def test_a_registered_model_is_evaluated(tracked: str, dataset: Path, installed: None, tiny_registry: TinyRegistry):
    rows = pd.read_json(dataset, lines=True).drop(columns="id")
    result = mlflow.models.evaluate(
        tracked, data=rows, targets="label", model_type="classifier", evaluators="calig", evaluator_config={"config": QUICK}
    )
    assert 0 <= result.metrics["calig.accuracy"] <= 1
    assert "calig.quality.comprehensiveness" in result.metrics
    record = result.artifacts["calig/record.json"].content
    assert record["data"]["n_explained"] == len(rows)
    assert record["results"]["accuracy"] == result.metrics["calig.accuracy"]
    assert "<html" in result.artifacts["calig/report.html"].content
    client = mlflow.MlflowClient()
    [run] = client.search_runs([mlflow.last_active_run().info.experiment_id])
    assert run.data.tags["calig.verdict"] == record["decision"]["verdict"]
    assert run.data.metrics["calig.accuracy"] == result.metrics["calig.accuracy"]
    assert len(client.get_metric_history(run.info.run_id, "calig.accuracy")) == 1
    assert {file.path for file in client.list_artifacts(run.info.run_id, "calig")} == {"calig/record.json", "calig/report.html"}
    name, version = tracked.removeprefix("models:/").split("/")
    assert "calig.verdict" not in client.get_model_version(name, version).tags  # an evaluation is no release decision
    model_id = mlflow.models.get_model_info(tracked).model_id
    assert "calig.accuracy" in {metric.key for metric in client.get_logged_model(model_id).metrics}


@pytest.mark.slow
def test_other_models_are_left_to_other_evaluators(tracked: str, installed: None):
    """MLflow asks every installed evaluator when none is named."""
    with mlflow.start_run():
        result = mlflow.models.evaluate(
            lambda frame: (frame["x"] > 0).astype(int),
            data=pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [0, 1, 1]}),
            targets="y",
            model_type="classifier",
            evaluator_config={"log_model_explainability": False},
        )
    assert "accuracy_score" in result.metrics
    assert not any(name.startswith("calig") for name in result.metrics)


def test_unknown_settings_are_named(tmp_path: Path):
    with pytest.raises(InputError, match="refrence"):
        explain_evaluated(tmp_path, tmp_path, {"refrence": "models:/a/1"})


@pytest.mark.parametrize(
    ("features", "names", "column", "expected"),
    [
        (pd.DataFrame({"review": ["é", "b"]}), ["review"], None, {"text": "é", "label": 1}),
        (pd.DataFrame({"text": ["é", "b"], "source": ["x", "y"]}), None, None, {"text": "é", "source": "x", "label": 1}),
        (pd.DataFrame({"a": ["é", "b"], "b": ["x", "y"]}), None, "a", {"text": "é", "b": "x", "label": 1}),
        (np.array([["é"], ["b"]]), ["feature_1"], None, {"text": "é", "label": 1}),
    ],
)
def test_rows_become_a_data_set(tmp_path: Path, features, names, column, expected):
    dataset = SimpleNamespace(features_data=features, feature_names=names, labels_data=np.array([1, 0]))
    lines = write_rows(dataset, tmp_path / "rows.jsonl", text_column=column).read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0]) == expected
    assert len(lines) == 2


def test_which_column_is_the_text_is_never_guessed(tmp_path: Path):
    dataset = SimpleNamespace(features_data=pd.DataFrame({"a": ["x"], "b": ["y"]}), feature_names=None, labels_data=None)
    with pytest.raises(InputError, match="not clear"):
        write_rows(dataset, tmp_path / "rows.jsonl", text_column=None)
    with pytest.raises(InputError, match="no such column"):
        write_rows(dataset, tmp_path / "rows.jsonl", text_column="c")

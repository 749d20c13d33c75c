"""Registering a model folder changes nothing but the registry."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest

from components import registry
from tests.conftest import TinyRegistry


def test_registering_leaves_the_working_directory_and_mlflows_own_setting_alone(
    tiny_registry: TinyRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tags, metrics = {"team": "reviews"}, {"accuracy": 0.9}
    version = registry.register(tiny_registry.bert, name="registered", experiment="training", tags=tags, metrics=metrics)
    client = mlflow.MlflowClient()
    registered = client.get_model_version("registered", version)
    assert registered.tags == tags
    assert client.get_run(registered.run_id).data.metrics == metrics
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///elsewhere.db")
    assert mlflow.get_tracking_uri() == "sqlite:///elsewhere.db", "a later change of the environment is heard"

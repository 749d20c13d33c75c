"""One real MLflow registry on SQLite for the whole session: a text model with two versions, an image model."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

from components import registry
from tests.helpers.tiny_models import save_tiny_bert, save_tiny_vit
from tests.helpers.tracking import connected

# How long an example takes is the machine's matter; pytest's own timeout ends a test that hangs.
settings.register_profile("calig", deadline=None)
settings.load_profile("calig")


class TinyRegistry(NamedTuple):
    """`text` has versions 1 (alias champion) and 2 (alias candidate), `image` has version 1."""

    tracking_uri: str
    bert: Path
    vit: Path
    text: str = "tiny-sentiment"
    image: str = "tiny-shapes"

    def register(self, folder: Path, name: str) -> str:
        """Register the folder as the next version of `name`."""
        return registry.register(folder, name=name, experiment="training", tags={}, metrics={})


@pytest.fixture(scope="session")
def session_registry(tmp_path_factory: pytest.TempPathFactory) -> TinyRegistry:
    """The registry itself; who uses it connects to it."""
    folder = tmp_path_factory.mktemp("registry")
    bert, vit = save_tiny_bert(folder / "bert"), save_tiny_vit(folder / "vit")
    tiny = TinyRegistry(f"sqlite:///{folder}/mlflow.db", bert, vit)
    with connected(tiny.tracking_uri):
        tiny.register(bert, tiny.text)
        tiny.register(save_tiny_bert(folder / "bert2", seed=1), tiny.text)
        tiny.register(vit, tiny.image)
        registry.set_alias(tiny.text, "champion", "1")
        registry.set_alias(tiny.text, "candidate", "2")
    return tiny


@pytest.fixture
def tiny_registry(session_registry: TinyRegistry, monkeypatch: pytest.MonkeyPatch) -> TinyRegistry:
    """The registry, and the test is connected to it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", session_registry.tracking_uri)
    return session_registry

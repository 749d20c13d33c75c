"""A Prefect backend for the session, and a real registry and data set to run the flow on."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import TinyRegistry
from tests.helpers.exports import exported_once
from tests.helpers.prefect_backend import prefect_backend
from tests.helpers.tiny_models import WORDS, save_tiny_bert

N_ROWS = 40


@pytest.fixture(scope="session")
def _prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with prefect_backend(tmp_path_factory.mktemp("prefect-results")):
        yield


@pytest.fixture(scope="session", autouse=True)
def _exports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with exported_once(tmp_path_factory.mktemp("exports")):
        yield


@pytest.fixture
def without_pools(_prefect: None) -> None:
    """The session's Prefect server as a new one is: the tests that make work pools share it."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        for pool in client.read_work_pools():
            client.delete_work_pool(pool.name)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Forty reviews of known words, by a seeded generator."""
    rng = random.Random(0)  # noqa: S311 - reproducible, not secret
    path = tmp_path / "reviews.jsonl"
    rows = [
        {
            "id": f"{tmp_path.name}-{i}",
            "text": " ".join(rng.choices(WORDS, k=rng.randint(4, 9))),
            "label": rng.choice(["NEG", "POS"]),
        }
        for i in range(N_ROWS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def model(tiny_registry: TinyRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _prefect: None) -> str:
    """A freshly registered model of its own, under the tracking store of the session; its URI."""
    name = f"flow-{tmp_path.name}"
    return f"models:/{name}/{tiny_registry.register(save_tiny_bert(tmp_path / 'bert'), name)}"


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Indices of the shards that are really computed in this process."""
    from components import attribution

    indices: list[int] = []
    real = attribution.explain_shard

    def counted(*args, index: int, **options):
        indices.append(index)
        return real(*args, index=index, **options)

    monkeypatch.setattr(attribution, "explain_shard", counted)
    return indices

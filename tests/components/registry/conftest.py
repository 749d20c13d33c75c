"""Results about a version of its own for every test, in the session's registry; published where a test asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.components.registry.publishing import Results, new_version, results_for
from tests.conftest import TinyRegistry


@pytest.fixture
def name(tmp_path: Path) -> str:
    return f"registry-{tmp_path.name}"


@pytest.fixture
def results(tiny_registry: TinyRegistry, tmp_path: Path, name: str) -> Results:
    return results_for(new_version(tiny_registry, name, tmp_path), tmp_path / "results")


@pytest.fixture
def published(results: Results) -> Results:
    results.publish()
    return results

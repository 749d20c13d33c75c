"""Fetching models by their references, as the flow does, and what a refusal says."""

from __future__ import annotations

from pathlib import Path

import pytest

from components import registry
from components.common.errors import InputError
from schemas.release import ModelSnapshot


def fetch(text: str, workspace: Path) -> ModelSnapshot:
    """The model that `text` names."""
    return registry.fetch(registry.parse_model_ref(text), workspace=workspace)


def refused(text: str, workspace: Path) -> str:
    """Why it is refused."""
    with pytest.raises(InputError) as caught:
        fetch(text, workspace)
    return str(caught.value)

"""The MLflow server of this process, set for as long as a block runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def connected(uri: str) -> Iterator[None]:
    """Let the registry use the server or store at `uri`, by the environment alone, as `--tracking-uri` does.

    What `mlflow.set_tracking_uri` sets would outlive the block.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        yield

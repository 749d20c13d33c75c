"""Look for a word that must not be there: in every file below a folder, and in all that MLflow says about a version."""

from __future__ import annotations

import base64
import re
import zlib
from pathlib import Path

import pyarrow.parquet as pq


def files_with(canary: str, folder: Path, *, without: str = "nothing") -> list[str]:
    """Files that hold the canary; Parquet is read, reports are unpacked. Parts of the path named `without` are left out."""
    files = [path for path in folder.rglob("*") if path.is_file() and without not in path.relative_to(folder).parts]
    assert files, "there must be something to search"
    return [str(path.relative_to(folder)) for path in files if canary in _content(path)]


def said_by_mlflow(uri: str, run_id: str, tracking_uri: str, folder: Path) -> tuple[str, Path]:
    """Everything MLflow says about the version, its model and its run; and the run's artifacts, downloaded into `folder`."""
    import mlflow

    client = mlflow.MlflowClient(tracking_uri)
    version = client.get_model_version(*uri.removeprefix("models:/").split("/"))
    run = client.get_run(run_id)
    folder.mkdir()
    artifacts = client.download_artifacts(run_id, "", str(folder))
    return f"{dict(version)} {run.to_dictionary()} {dict(client.get_registered_model(version.name))}", Path(artifacts)


def _content(path: Path) -> str:
    if path.suffix == ".parquet":
        return str(pq.read_table(path).to_pylist())
    text = path.read_text(encoding="utf-8", errors="replace")
    return (
        text + "".join(_unpacked(block) for block in re.findall(r"[A-Za-z0-9+/=]{40,}", text)) if path.suffix == ".html" else text
    )


def _unpacked(block: str) -> str:
    """The rows that a report carries packed; nothing for other long words."""
    try:
        return zlib.decompress(base64.b64decode(block)).decode("utf-8", errors="replace")
    except (ValueError, zlib.error):
        return ""

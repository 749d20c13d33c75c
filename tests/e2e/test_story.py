"""What a user runs, as a user runs it: the demo, and the command against a real MLflow server over HTTP."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from components import registry
from tests.helpers.mlflow_server import running_mlflow_server
from tests.helpers.tiny_models import WORDS, save_tiny_bert
from tests.helpers.tracking import connected

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # versions are trained and explained, beside another process

CALIG = Path(sys.executable).parent / "calig"


def calig(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with a Prefect home of its own."""
    return subprocess.run(
        [CALIG, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PREFECT_HOME": str(cwd / "prefect"), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )


def test_the_demo_tells_its_story(tmp_path: Path) -> None:
    result = calig("demo", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "came out as told" in result.stderr
    records = {r["model"]["version"]: r for r in map(read, tmp_path.glob(".demo/runs/demo-reviews/*/*/record.json"))}
    assert records["1"]["decision"]["verdict"] == "pass"
    assert records["2"]["decision"]["verdict"] == "fail"
    assert records["2"]["drift"]["word_shifts"][0]["word"] == "honestly"
    assert [p.name for p in tmp_path.iterdir()] == [".demo"], "nothing beside the demo's own folder, Prefect's home included"
    for noise in ("Warning", "Traceback", "INFO", "Loading weights"):
        assert noise not in result.stderr, result.stderr


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def write_reviews(path: Path, n: int = 40) -> Path:
    rng = random.Random(0)  # noqa: S311
    rows = [{"text": " ".join(rng.choices(WORDS, k=8)), "label": rng.choice(["NEG", "POS"])} for _ in range(n)]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"text": " ", "label": "NEG"}]), encoding="utf-8")
    return path


def test_a_version_on_a_real_server(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    reviews = write_reviews(tmp_path / "reviews.jsonl")
    with running_mlflow_server(tmp_path / "server") as uri:
        with connected(uri):
            registry.register(save_tiny_bert(tmp_path / "bert"), name="served", experiment="training", tags={}, metrics={})
        result = calig("explain", "models:/served/1", "--dataset", reviews, "--tracking-uri", uri, "--json", cwd=tmp_path)
        assert result.returncode in {0, 1}, result.stderr
        record = json.loads(result.stdout)
        assert record["data"]["n_explained"] == 40
        assert record["data"]["n_skipped"] == 1
        again = calig("explain", "models:/served/1", "--dataset", reviews, "--tracking-uri", uri, cwd=tmp_path)
        assert again.returncode == result.returncode
        assert "already explained" in again.stdout
        unknown = calig("explain", "models:/servd/1", "--dataset", reviews, "--tracking-uri", uri, cwd=tmp_path)
        assert unknown.returncode == 2
        assert "served" in unknown.stderr
        assert "Traceback" not in unknown.stderr
    gone = calig("explain", "models:/served/1", "--dataset", reviews, "--tracking-uri", uri, cwd=tmp_path)
    assert gone.returncode == 4
    assert "Traceback" not in gone.stderr

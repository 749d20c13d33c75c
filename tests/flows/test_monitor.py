"""`calig monitor` on the real registry and the real engine: later rows against what was published for the same version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components import registry
from components.common.errors import InputError
from flows.explain_release import explain_release
from flows.monitor import monitor_data
from schemas.base import CheckVerdict
from schemas.config import AttributionConfig, PipelineConfig
from tests.flows.conftest import N_ROWS
from tests.helpers.tiny_models import save_tiny_bert

SETTINGS = PipelineConfig(attribution=AttributionConfig(fusion_coefficient=0.5, shard_rows=30))


@pytest.fixture
def later(dataset: Path, tmp_path: Path) -> Path:
    """The same reviews with one word more, which the earlier ones do not contain."""
    rows = [json.loads(line) for line in dataset.read_text(encoding="utf-8").splitlines()]
    path = tmp_path / "later.jsonl"
    path.write_text("".join(json.dumps(r | {"text": f"zzz {r['text']}"}) + "\n" for r in rows), encoding="utf-8")
    return path


def test_later_rows_are_held_against_the_published_explanation(model, dataset, later, tmp_path, tiny_registry):
    output = tmp_path / "runs"
    with pytest.raises(InputError, match="never explained"):
        monitor_data(model, later, output=output)
    explained = explain_release(model, dataset, config=SETTINGS, output=output)
    monitored = monitor_data(model, later, output=output)
    report = monitored.report
    assert report.model.method_fingerprint == explained.record.method.fingerprint, "the earlier method, not today's default"
    assert (report.before.n_rows, report.now.n_rows, report.now.name) == (N_ROWS, N_ROWS, "later")
    assert [word for word, _, _ in report.unseen.heaviest] == ["zzz"]
    assert report.unseen.heaviest[0][2] == N_ROWS
    assert "zzz" in (monitored.folder / "monitor.html").read_text(encoding="utf-8")
    assert json.loads((monitored.folder / "monitor.json").read_text(encoding="utf-8"))["verdict"] == report.verdict
    tags = __import__("mlflow").MlflowClient().get_model_version(*_named(model)).tags
    assert tags["calig.fingerprint"] == explained.record.fingerprint, "monitoring changes nothing on the version"
    assert monitor_data(model, dataset, str(explained.folder), output=output).report.verdict is CheckVerdict.INCONCLUSIVE


@pytest.mark.slow
def test_another_model_than_the_one_held_against_is_inconclusive(model, dataset, later, tmp_path):
    explained = explain_release(model, dataset, config=SETTINGS, output=tmp_path / "runs")
    other = save_tiny_bert(tmp_path / "other", seed=9)
    report = monitor_data(str(other), later, str(explained.folder), output=tmp_path / "runs").report
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert "two models" in report.reason
    with pytest.raises(InputError, match="--against"):
        monitor_data(str(other), later, output=tmp_path / "runs")


def _named(model: str) -> tuple[str, str]:
    ref = registry.parse_model_ref(model)
    return ref.name, str(ref.version)

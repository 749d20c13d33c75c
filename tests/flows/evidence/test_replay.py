"""`calig replay` on a real model, registry and run: bit for bit on the same machine, and what it says when something changed."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from components import attribution, governance, registry
from components.table.value_digest import values_digest
from flows.cli.app import app
from flows.explain_release import explain_release
from flows.pipeline.results import Outcome
from schemas.config import AttributionConfig, PipelineConfig, ProbeConfig, QualityConfig
from schemas.evidence import ReplayReport
from tests.flows.conftest import N_ROWS
from tests.helpers.tiny_models import save_tiny_bert

CONFIG = PipelineConfig(
    attribution=AttributionConfig(shard_rows=16),
    quality=QualityConfig(falsification_rows=0),
    probe=ProbeConfig(enabled=False),
)


@pytest.fixture
def explained(model: str, dataset: Path, tmp_path: Path) -> Outcome:
    return explain_release(model, dataset, output=tmp_path / "runs", config=CONFIG)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("flows.common.process.prepare", lambda **_: None)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: object, code: int = 0):
        answer = CliRunner().invoke(app, [str(a) for a in arguments])
        assert answer.exit_code == code, answer.output
        return answer

    return invoke


def test_a_published_run_verifies_and_replays_until_something_changes(
    explained: Outcome, run, model, dataset, monkeypatch
) -> None:
    record = explained.record
    assert [table.n_rows for table in record.evidence] == [16, 16, 8]
    for table in record.evidence:
        assert values_digest(pq.read_table(explained.folder / table.file)) == table.values_sha256
    assert "unchanged since it was sealed" in run("verify", model).output

    some = ReplayReport.model_validate_json(run("replay", model, "--rows", "5", "--json").stdout)
    assert (some.outcome, some.n_rows) in {("bit for bit", 5), ("within tolerance", 5)}
    assert some.environment == ()
    everything = run("replay", explained.folder, "--all")
    assert f"{N_ROWS} of {N_ROWS} rows bit for bit" in everything.output
    assert "replayed bit for bit" in everything.output

    with _other_threads():
        again = ReplayReport.model_validate_json(run("replay", explained.folder, "--all", "--json").stdout)
    assert (again.outcome, again.environment) == ("bit for bit", ()), "it computes with the recorded number"

    _elsewhere(run, model, dataset)
    _on_another_machine(run, model, monkeypatch)
    _with_another_method(run, model, monkeypatch)


@contextmanager
def _other_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        yield
        assert torch.get_num_threads() == before + 1, "and leaves the process as it was"
    finally:
        torch.set_num_threads(before)


def _elsewhere(run, model: str, dataset: Path) -> None:
    """The data set moved, and another one took its place."""
    moved = dataset.rename(dataset.with_name("moved.jsonl"))
    assert "--dataset FILE" in run("replay", model, code=2).output
    run("replay", model, "--rows", "2", "--dataset", moved)
    lines = moved.read_text().splitlines()
    dataset.write_text("\n".join([json.dumps(json.loads(lines[0]) | {"text": "good"}), *lines[1:]]) + "\n")
    assert "not the data set that was explained" in run("replay", model, code=2).output
    moved.rename(dataset)


def _on_another_machine(run, model: str, monkeypatch) -> None:
    """Rounding differs: within the tolerance, said together with what differs around it."""
    with monkeypatch.context() as patch:
        _nudge(patch, 1e-5)
        before = governance.environment
        patch.setattr(governance, "environment", lambda device, versions: before("another device", versions))
        answer = run("replay", model, "--rows", "3")
    assert "replayed within the tolerance" in answer.output
    assert "now another device" in answer.output


def _with_another_method(run, model: str, monkeypatch) -> None:
    """Something that is no rounding."""
    with monkeypatch.context() as patch:
        _nudge(patch, 0.05)
        answer = run("replay", model, "--rows", "3", code=1)
        assert "✗ differs" in answer.output
        assert "3 beyond 0.001" in answer.output
        assert "nothing differs in what the record knows" in answer.output


def _nudge(patch, share: float) -> None:
    """Every attribution computed again comes out larger by `share`."""
    real = attribution.explain_shard

    def nudged(*arguments, path: Path, **options):
        shard = real(*arguments, path=path, **options)
        table = pq.read_table(path)
        rows = [row | {"values": [v * (1 + share) for v in row["values"]]} for row in table.to_pylist()]
        pq.write_table(type(table).from_pylist(rows, schema=table.schema), path)
        return shard

    patch.setattr(attribution, "explain_shard", nudged)


def test_other_weights_in_the_registry_differ_whatever_the_numbers_say(explained: Outcome, run, tmp_path, monkeypatch) -> None:
    """The folder names a version; what is fetched for it has other weights."""
    real, other = registry.fetch, save_tiny_bert(tmp_path / "other", seed=5)

    def fetched(ref, **options):
        return real(registry.parse_model_ref(str(other)), **options)

    monkeypatch.setattr(registry, "fetch", fetched)
    answer = run("replay", explained.folder, "--rows", "2", code=1)
    assert "the weights: recorded" in answer.output


def test_changed_evidence_is_not_replayed(explained: Outcome, run) -> None:
    table = explained.folder / explained.record.evidence[0].file
    table.write_bytes(table.read_bytes()[:-1] + b"x")
    assert "does not verify" in run("replay", explained.folder, code=2).output

"""Quality scored in shards: once, on any engine, resumed where it stopped; damaged files are not believed, a fallback is told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from prefect import flow

from components import quality
from components.common.errors import CouldNotRunError, InputError
from components.common.stores import Store
from flows.common.run_limits import LimitError
from flows.execution import exchange, scorers
from flows.pipeline import judge
from flows.pipeline.attribute import attribute
from flows.pipeline.resolve import resolve
from flows.pipeline.score import plan_scoring
from schemas.base import CheckVerdict
from schemas.config import AttributionConfig, ExecutionConfig, PipelineConfig, QualityConfig
from schemas.planned_release import Release
from schemas.quality import QualityReport
from tests.helpers.tiny_models import save_tiny_bert

CONFIG = PipelineConfig(
    attribution=AttributionConfig(shard_rows=10), quality=QualityConfig(falsification_rows=0, bootstrap_draws=100)
)


@pytest.fixture
def release(tmp_path: Path, dataset: Path, _prefect: None, monkeypatch: pytest.MonkeyPatch) -> Release:
    """A model from a folder and forty rows in four shards."""
    for task in ("explain_shard", "score_shard"):
        monkeypatch.setattr(f"flows.pipeline.tasks.{task}.retry_delay_seconds", [0, 0])
    return resolve(str(save_tiny_bert(tmp_path / "model")), dataset, None, CONFIG, None, tmp_path / "runs")


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Indices of the shards that are really scored in this process."""
    indices: list[int] = []
    real = quality.score_shard

    def counted(*args, index: int, **options):
        indices.append(index)
        return real(*args, index=index, **options)

    monkeypatch.setattr(quality, "score_shard", counted)
    return indices


@flow(name="measuring")
def measuring(release: Release, force: bool) -> QualityReport:
    return judge.measure_quality(release, attribute(release, False), None, force)


def measured(release: Release, force: bool = False, output: str = "runs", **sections: Any) -> QualityReport:
    """The report of the release under other settings."""
    config = release.config.model_copy(update=sections)
    return measuring(release.model_copy(update={"config": config, "output": release.output.with_name(output)}), force)


def with_quality(**changes: Any) -> dict[str, QualityConfig]:
    return {"quality": QualityConfig(**{"falsification_rows": 0, "bootstrap_draws": 100, "suite": "default"} | changes)}


def plain(report: QualityReport, *, digits: int = 4) -> Any:
    """The report with numbers rounded: batches of other sizes round otherwise in float32."""

    def rounded(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: rounded(one) for name, one in value.items()}
        if isinstance(value, list):
            return [rounded(one) for one in value]
        return round(value, digits) + 0.0 if isinstance(value, float) else value

    return rounded(report.model_dump(mode="json", exclude={"scorer": {"parity_max_abs"}}))


def parts_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("scored/*/shard-*.parquet"))


def test_what_is_scored_is_kept_and_a_damaged_part_is_not_believed(release, scored, tmp_path):
    first = measured(release)
    assert sorted(scored) == [0, 1, 2, 3]
    assert first.scorer.runtime == "onnxruntime"
    assert not scorers._opened, "the memory of the scorer is given back"
    parts = parts_of(tmp_path / "runs" / ".cache")
    assert len(parts) == 4
    scored.clear()
    assert measured(release, **with_quality(suite="strict", confidence=0.9)).suite == "strict"
    assert scored == [], "what judges changes no score"
    parts[1].write_bytes(parts[1].read_bytes()[:-10])
    parts[3].unlink()
    assert measured(release) == first
    assert sorted(scored) == [1, 3]


@pytest.mark.slow
def test_another_seed_and_force_score_again(release, scored):
    first = measured(release)
    scored.clear()
    other = measured(release, **with_quality(seed=1))
    assert sorted(scored) == [0, 1, 2, 3]
    assert other != first
    scored.clear()
    assert measured(release, force=True) == first
    assert sorted(scored) == [0, 1, 2, 3]


@pytest.mark.slow
def test_a_report_does_not_depend_on_the_number_of_shards(release):
    one = release.config.attribution.model_copy(update={"shard_rows": 40})
    assert plain(measured(release)) == plain(measured(release, attribution=one))


def test_a_run_that_broke_in_the_middle_scores_what_is_missing(release, scored, monkeypatch):
    counted = quality.score_shard

    def failing(*args, index: int, **options):
        if index == 2:
            raise CouldNotRunError("the disk is full")
        return counted(*args, index=index, **options)

    with monkeypatch.context() as broken:
        broken.setattr(quality, "score_shard", failing)
        report = measured(release)
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert "the disk is full" in report.checks[0].explanation
    assert sorted(scored) == [0, 1, 3]
    scored.clear()
    assert measured(release).scorer.runtime == "onnxruntime"
    assert scored == [2]


def test_a_shard_that_torch_scored_is_seen_in_the_record(release, monkeypatch):
    real = quality.score_shard

    def fallen_back(*args, index: int, **options):
        part = real(*args, index=index, **options)
        torch = part.scorer.model_copy(update={"runtime": "torch", "fallback_reason": "RuntimeError: no room for the export"})
        return part.model_copy(update={"scorer": torch}) if index == 1 else part

    monkeypatch.setattr(quality, "score_shard", fallen_back)
    report = measured(release)
    assert report.scorer.runtime == "onnxruntime and torch"
    assert report.scorer.fallback_reason == "1 of 4 shards: RuntimeError: no room for the export"
    assert any("scored by torch: 1 of 4 shards" in warning for warning in report.warnings)


def test_a_limit_ends_the_run_and_a_broken_suite_costs_no_scoring(release, scored, monkeypatch, tmp_path):
    (tmp_path / "suite.yaml").write_text("name: mine\nexpectations: []\n")
    with pytest.raises(InputError, match="line 2"):
        measured(release, **with_quality(suite=str(tmp_path / "suite.yaml")))
    assert scored == []

    def too_long(*_args, **_options):
        raise LimitError("The run takes longer than it may.")

    monkeypatch.setattr(quality, "score_shard", too_long)
    with pytest.raises(LimitError):
        measured(release)


@pytest.mark.slow
def test_a_store_holds_scored_parts_for_a_run_elsewhere(release, scored, tmp_path):
    store = tmp_path / "store"
    execution = ExecutionConfig(store=f"file://{store}")
    first = measured(release, execution=execution)
    assert len([name for name in Store(f"file://{store}").names("scored") if name.endswith(".parquet")]) == 4
    parts_of(store)[2].write_bytes(b"PAR1")
    scored.clear()
    assert measured(release, output="elsewhere", execution=execution) == first
    assert scored == [2]


def test_a_worker_without_the_table_takes_it_from_the_store_and_refuses_another(release, tmp_path):
    given = release.model_copy(
        update={"config": release.config.model_copy(update={"execution": ExecutionConfig(store=f"file://{tmp_path}/store")})}
    )
    (shard, *_) = _attributed(given)
    shard.path.unlink()
    with exchange.read_table(given, shard) as path:
        assert path != shard.path
        assert path.is_file()
    assert not path.exists(), "gone when it was read"
    (stored,) = (tmp_path / "store").glob("attributions/*/shard-00000.parquet")
    stored.write_bytes(stored.read_bytes() + b" ")
    with pytest.raises(CouldNotRunError, match="not what was written"), exchange.read_table(given, shard):
        pass


def test_scores_are_known_by_all_that_changes_them(release):
    shards = _attributed(release)
    removal = quality.Perturbation("replace", 4)

    def key(perturbation=removal, tables=shards, **changes) -> str:
        config = release.config.model_copy(update=with_quality(**changes))
        return plan_scoring(release.model_copy(update={"config": config}), tables, perturbation).key

    same = {key(), key(suite="strict"), key(confidence=0.9), key(min_explained=0.1), key(bootstrap_draws=500)}
    assert len(same) == 1
    changed = [shards[0].model_copy(update={"sha256": "0" * 64}), *shards[1:]]
    others = [key(quality.Perturbation("delete")), key(tables=changed), key(seed=1), key(control_rows=30), key(scored_rows=30)]
    others += [key(random_draws=2), key(infidelity_draws=3), key(fractions=(0.1,)), key(scorer="torch")]
    assert len({*same, *others}) == 10
    assert [shard.index for shard in plan_scoring(release, shards, removal).parity] == [0, 1], "sixteen rows of shards of ten"


def _attributed(release: Release) -> list[Any]:
    @flow(name="attributing")
    def attributing() -> list[Any]:
        return attribute(release, False)

    return attributing()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["processes", "dask"])
def test_workers_give_the_same_report(release, scored, monkeypatch, engine):
    if engine != "processes":
        pytest.importorskip(f"prefect_{engine}")
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    here = measured(release)
    scored.clear()
    there = measured(release, force=True, execution=ExecutionConfig(engine=engine))
    assert plain(there, digits=6) == plain(here, digits=6), "a worker has fewer threads, and so smaller batches"
    assert scored == [], "no shard is scored in this process"

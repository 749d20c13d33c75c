"""Rows whose answer changed are explained once more, toward the reference's targets: once, and from then on found again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components import attribution, datasets, drift
from components.table.rows import read_rows
from flows.pipeline import judge, tasks
from schemas.config import AttributionConfig, PipelineConfig
from schemas.planned_release import Release
from schemas.reference import ReferenceIdentity
from tests.helpers.drift_tables import profile
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_models import WORDS, save_tiny_bert

LABELS = ("bad", "fair", "good")
CONFIG = PipelineConfig(attribution=AttributionConfig(device="cpu", n_points=4, shard_rows=3))


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """A version of three classes whose reference answers otherwise on some rows."""
    snapshots = [snapshot_of(save_tiny_bert(tmp_path / str(seed), seed, LABELS)) for seed in (0, 1)]
    path = tmp_path / "rows.jsonl"
    texts = [" ".join(words) for words in zip(WORDS[:12], WORDS[12:], WORDS[24:], strict=False)]
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    dataset, examples = datasets.load(path, limit=None, labels=LABELS, modality="text")
    table = tmp_path / "reference.parquet"
    attribution.explain_shard(snapshots[0], examples, CONFIG.attribution, index=0, path=table)
    method = attribution.method_fingerprint(CONFIG.attribution)
    identity = ReferenceIdentity(name="m", version="1", method_fingerprint=method, weights_digest="w")
    made = Release(
        snapshot=snapshots[1],
        dataset=dataset,
        config=CONFIG,
        fusion_choice=None,
        suite_digest=None,
        method_fingerprint=method,
        reference=profile(table, labels=LABELS, identity=identity, dataset_digest=dataset.digest),
        without_reference=None,
        output=tmp_path / "runs",
    )
    attribution.explain_shard(snapshots[1], examples, CONFIG.attribution, index=0, path=made.shard_path(0))
    return made


def test_changed_answers_are_explained_toward_the_reference_s_and_kept(release, monkeypatch):
    monkeypatch.setattr(tasks, "explain_toward", tasks.explain_toward.fn)  # the task alone, without a Prefect server
    theirs, ours = (read_rows(paths) for paths in (release.reference.tables, [release.shard_path(0)]))
    changed = {key for key in theirs if theirs[key]["predicted"] != ours[key]["predicted"]}
    assert len(changed) > CONFIG.attribution.shard_rows, "more than one table of them"
    tables = judge._toward_reference(release, [release.shard_path(0)])
    again = read_rows(tables)
    assert set(again) == changed
    assert {key: row["target"] for key, row in again.items()} == {key: theirs[key]["predicted"] for key in changed}
    assert drift.unmatched_targets(release.reference.tables, tables) == {}
    monkeypatch.setattr(attribution, "explain_shard", None)  # would raise
    assert judge._toward_reference(release, [release.shard_path(0)]) == tables


def test_nothing_is_explained_toward_a_reference_that_cannot_be_compared(release):
    """Its tables may be of an older form; the comparison says why, and no row is explained for it."""
    other = release.reference.model_copy(update={"dataset_digest": "other rows", "tables": (Path("no such table"),)})
    assert judge._toward_reference(release.model_copy(update={"reference": other}), [release.shard_path(0)]) == []

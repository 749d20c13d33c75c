"""The faults' plan, their watch on shards and their report; and, with real servers, a few faults of the cheaper kinds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.faults.batches import KINDS, run_batch
from tests.benchmarks.faults.plan import ALL_FAULTS, SHARES, Part, counts, remaining
from tests.benchmarks.faults.results import HARMS, summarise
from tests.benchmarks.faults.rig import running_rig
from tests.benchmarks.faults.shards import Shards
from tests.e2e.cluster import postgres_binaries


def test_the_plan_has_all_kinds_and_more_than_two_hundred_faults() -> None:
    assert set(SHARES) == set(KINDS)
    assert sum(counts(ALL_FAULTS).values()) == ALL_FAULTS > 200
    assert min(counts(1).values()) == 1


def test_what_was_done_is_not_done_again() -> None:
    done = [{"kind": kind, "injected": n} for kind, n in counts(228).items() if kind != "flow killed"]
    assert list(remaining(228, done)) == [Part("flow killed", 12)] * 3
    half = [*done, {"kind": "flow killed", "injected": 30}]
    assert list(remaining(228, half)) == [Part("flow killed", 6)]


@pytest.fixture
def finished(tmp_path: Path) -> tuple[Shards, Path]:
    """A watch on one finished shard and one whose task's result was not written whole."""
    tables, results = tmp_path / "runs" / ".cache" / "attributions" / "key", tmp_path / "results"
    tables.mkdir(parents=True)
    results.mkdir()
    for index in range(2):
        (tables / f"shard-{index:05d}.parquet").write_bytes(b"x" * 100)
    (results / "calig-shard-key-00000").write_text("{}", encoding="utf-8")
    (results / "calig-shard-key-00001").write_text('{"cut sho', encoding="utf-8")
    shards = Shards(tmp_path / "runs", results)
    shards.look()
    return shards, tables


def rewrite(path: Path) -> None:
    path.with_suffix(".part").write_bytes(path.read_bytes())
    path.with_suffix(".part").replace(path)


def test_only_a_finished_shard_counts_as_recomputed(finished: tuple[Shards, Path]) -> None:
    shards, tables = finished
    assert shards.count == 1
    rewrite(tables / "shard-00001.parquet")
    shards.look()
    assert shards.recomputed == []
    rewrite(tables / "shard-00000.parquet")
    shards.look()
    assert shards.recomputed == ["key/shard-00000.parquet"]


def test_a_truncated_shard_is_repaired_not_recomputed(finished: tuple[Shards, Path]) -> None:
    shards, tables = finished
    assert shards.truncate_newest()
    shards.look()
    assert (shards.count, shards.repaired, (tables / "shard-00000.parquet").stat().st_size) == (0, 0, 50)
    rewrite(tables / "shard-00000.parquet")
    shards.look()
    assert (shards.count, shards.repaired, shards.recomputed) == (1, 1, [])


def test_a_shard_that_went_is_lost(finished: tuple[Shards, Path]) -> None:
    shards, tables = finished
    (tables / "shard-00000.parquet").unlink()
    shards.look()
    assert (shards.gone, shards.recomputed) == (["key/shard-00000.parquet"], [])


def batch(kind: str, **harms: int) -> dict:
    return {
        "kind": kind,
        "injected": 2,
        "versions": 1,
        "runs": 3,
        "seconds": 1.5,
        **dict.fromkeys(HARMS, 0),
        **harms,
        "findings": [],
    }


def test_the_report_adds_up() -> None:
    report = summarise([batch("a"), batch("b", lost=1), batch("a", published_twice=2)])
    assert {name: report[name] for name in ("injected", *HARMS)} == {
        "injected": 6,
        "lost": 1,
        "published_twice": 2,
        "without_verdict": 0,
        "recomputed_finished_shards": 0,
    }
    assert (report["by_kind"]["a"]["injected"], report["by_kind"]["a"]["published_twice"], report["by_kind"]["b"]["lost"]) == (
        4,
        2,
        1,
    )


#: One of each sort; `make bench-faults` has all kinds, dozens of each.
FEW = {
    "webhook twice": 1,
    "webhook by a wrong clock": 1,
    "poison row": 1,
    "flow killed": 1,
    "shard truncated": 1,
    "PostgreSQL restarted, immediate": 1,
    "MLflow killed while publishing": 1,
}


#: How long a fault may wait for its moment: on a slow machine a version needs minutes until it is published.
PATIENCE_S = 300.0


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a dozen versions through faults, on whatever machine
@pytest.mark.skipif(postgres_binaries() is None, reason="PostgreSQL is not installed: apt-get install postgresql")
def test_a_few_faults_do_no_harm(tmp_path: Path) -> None:
    with running_rig(tmp_path) as rig:
        for kind, n in FEW.items():
            found = run_batch(rig, kind, n, limit_s=PATIENCE_S)
            assert found.injected == n, f"{kind}\n{rig.cluster.show_logs()}"
            assert not any(found.findings.values()), json.dumps(found.summary()) + rig.cluster.show_logs()

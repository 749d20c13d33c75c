"""The record: every field counted by hand on a small table, the environment, and what cannot be written refused."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnxruntime
import pyarrow.parquet as pq
import pytest

from components.common.errors import CouldNotRunError
from components.governance import build_record, environment, unjudged_quality
from components.table.value_digest import values_digest
from schemas.base import CheckVerdict
from schemas.config import GovernanceConfig, PipelineConfig
from schemas.drift import DriftReport
from schemas.governance import GovernanceReport
from schemas.shards import ShardResult
from tests.helpers import sample_records
from tests.helpers.attribution_tables import BagOfWords, attribution_row, problem_row, write_table


def test_libraries_are_those_installed() -> None:
    found = environment("cpu", {"torch": "1"})
    assert found.libraries["torch"] == version("torch")
    runtimes = {name: said for name, said in found.libraries.items() if name.startswith("onnxruntime")}
    assert set(runtimes.values()) == {onnxruntime.__version__}
    assert "not installed" not in found.libraries.values()
    assert (found.device, found.device_versions) == ("cpu", {"torch": "1"})


@pytest.mark.parametrize(
    ("provides", "expected"),
    [
        ({"onnxruntime": ["onnxruntime"]}, {"onnxruntime": "1.2.3"}),  # as on macOS
        ({"onnxruntime": ["onnxruntime-gpu"]}, {"onnxruntime-gpu": "1.2.3"}),
        ({}, {"onnxruntime": "not installed"}),
    ],
)
def test_the_runtime_is_named_by_whatever_provides_it(
    monkeypatch: pytest.MonkeyPatch, provides: dict[str, list[str]], expected: dict[str, str]
) -> None:
    home = import_module("components.governance.record")  # the package's name for it is the function
    monkeypatch.setattr(home, "_runtimes", home._runtimes.__wrapped__)  # nothing kept for other tests
    monkeypatch.setattr(home, "packages_distributions", lambda: provides)
    monkeypatch.setattr(home, "_version", lambda name: "1.2.3" if name in provides.get("onnxruntime", []) else "not installed")
    libraries = environment("cpu", {}).libraries
    assert {name: said for name, said in libraries.items() if name.startswith("onnxruntime")} == expected


MODEL = BagOfWords()


@pytest.fixture
def shards(tmp_path: Path) -> list[ShardResult]:
    """Ten rows and one that could not be explained, in two shards: 8 right of 9 labelled, 2 unconverged."""
    rows = [attribution_row(i, model=MODEL) for i in range(10)]
    rows[0] |= {"label": None}
    rows[1] |= {"label": "NEG" if rows[1]["predicted"] == "POS" else "POS", "coverage": 0.5, "converged": False}
    rows[2] |= {"converged": False}
    paths = write_table(tmp_path, [*rows, problem_row(10)], shards=2)
    common = {"sha256": "00" * 32, "seconds": 1.0, "attention_kernel": "sdpa", "device": "cpu", "baseline": "[MASK] tokens"}
    counts = [pq.read_metadata(path).num_rows for path in paths]
    return [
        ShardResult(index=i, path=p, n_rows=n, n_explained=n, device_versions={"threads": "2"}, **common)
        for i, (p, n) in enumerate(zip(paths, counts, strict=True))
    ]


def built(shards: list[ShardResult], tmp_path: Path, drift: DriftReport | None = None, **stated: Any) -> GovernanceReport:
    sample = sample_records.first_release(tmp_path, n=5).record
    dataset = sample.data.dataset.model_copy(update={"segment_columns": ("site",), "limit": 11})
    return build_record(
        fingerprint="ab" * 16,
        formula_version="2",
        method_fingerprint="cd" * 32,
        model=sample.model,
        dataset=dataset,
        shards=shards,
        config=PipelineConfig(governance=GovernanceConfig(**stated)),
        fusion_choice=None,
        quality=unjudged_quality("default", "not tried"),
        drift=drift or DriftReport(verdict=CheckVerdict.NOT_APPLICABLE, reason="first release"),
        probe=None,
        signing_key="0f" * 16,
        stage_seconds={"attribution": 1.234},
        created_at=datetime(2026, 11, 2, tzinfo=UTC),
    )


def test_counts_intervals_and_statements(shards: list[ShardResult], tmp_path: Path) -> None:
    record = built(shards, tmp_path, owner="risk team", intended_use="triage", split="holdout")
    data, results, decision = record.data, record.results, record.decision
    assert (data.n_explained, data.n_skipped, data.n_truncated, data.split) == (10, 1, 1, "holdout")
    assert data.sampling == "the first 11 rows of the file"
    assert data.segments == {"site": {"a": 5, "b": 5}}
    assert (results.n_labelled, results.unconverged) == (9, 2)
    assert results.accuracy == pytest.approx(8 / 9)
    # Wilson (1927) by hand, z = 1.959964: centre (p + z²/2n) / (1 + z²/n), half width z √(pq/n + z²/4n²) / (1 + z²/n)
    assert (results.accuracy_interval.low, results.accuracy_interval.high) == pytest.approx((0.5650, 0.9801), abs=1e-4)
    assert (decision.owner, decision.fired, decision.signing_key) == ("risk team", "a part could not be judged", "0f" * 16)
    assert record.scope == "triage"
    assert record.method.points.startswith("chosen by need, at most 129")
    assert record.environment.device_versions == {"threads": "2"}
    assert len(record.crosswalk) == 6


def test_each_table_has_the_digest_of_its_values(shards: list[ShardResult], tmp_path: Path) -> None:
    record = built(shards, tmp_path)
    assert [table.file for table in record.evidence] == ["attributions/shard-0.parquet", "attributions/shard-1.parquet"]
    assert [table.n_rows for table in record.evidence] == [6, 5]
    assert [table.values_sha256 for table in record.evidence] == [values_digest(pq.read_table(s.path)) for s in shards]


def test_who_signs_and_owns_changes_no_fingerprint() -> None:
    stated = PipelineConfig(governance=GovernanceConfig(owner="risk team", signing_key=Path("a.pem")))
    assert stated.results_dump() == PipelineConfig().results_dump()


def test_a_number_that_json_does_not_have_is_refused(shards: list[ShardResult], tmp_path: Path) -> None:
    infinite = DriftReport(verdict=CheckVerdict.NOT_APPLICABLE, reason="first release", accuracy_change=float("inf"))
    with pytest.raises(CouldNotRunError, match="not finite"):
        built(shards, tmp_path, infinite)

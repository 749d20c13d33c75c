"""A sealed folder, keys, and who is trusted."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from components import signing
from schemas.governance import GovernanceReport
from schemas.signature import TrustList
from tests.helpers import sample_records

NOW = datetime(2026, 11, 2, 15, 0, tzinfo=UTC)


class Keys(NamedTuple):
    """Three keys; `trusted` knows the pipeline (records) and Alice (sign-offs), and not Mallory."""

    pipeline: signing.Signer
    alice: signing.Signer
    mallory: signing.Signer
    trusted: TrustList


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("pipeline", "alice", "mallory"):
        signing.create_key(folder / name, None)
    signing.add_trust(folder / "trusted.yaml", folder / "pipeline.pub", "pipeline", ("records",))
    signing.add_trust(folder / "trusted.yaml", folder / "alice.pub", "Alice", ("sign-offs",))
    signers = [signing.load_signer(folder / name, None) for name in ("pipeline", "alice", "mallory")]
    return Keys(*signers, signing.load_trust(folder / "trusted.yaml"))


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> sample_records.Sample:
    return sample_records.drifted(tmp_path_factory.mktemp("sample"), n=20)


@pytest.fixture
def record(sample: sample_records.Sample, keys: Keys) -> GovernanceReport:
    decision = sample.record.decision.model_copy(update={"signing_key": keys.pipeline.key_id})
    return sample.record.model_copy(update={"decision": decision})


def write_sealed(folder: Path, record: GovernanceReport, table: Path, signer: signing.Signer | None) -> Path:
    """A results folder as a run leaves it."""
    (folder / "attributions").mkdir(parents=True)
    shutil.copy(table, folder / "attributions" / "shard-000.parquet")
    (folder / "report.html").write_text("<title>report</title>")
    (folder / "config.yaml").write_text("attribution: {}\n")
    seal = signing.seal_folder(folder, record, signer, NOW)
    (folder / "seal.json").write_bytes(seal.canonical())
    if signer is not None:
        (folder / "attestation.json").write_bytes(signing.attest(record, seal, signer))
    (folder / "record.json").write_bytes(record.canonical())
    return folder


@pytest.fixture
def sealed(record: GovernanceReport, sample: sample_records.Sample, keys: Keys, tmp_path: Path) -> Path:
    return write_sealed(tmp_path / "sealed", record, sample.tables[0], keys.pipeline)

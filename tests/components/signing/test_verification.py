"""Verifying: what was not touched verifies, and any byte that was is found, by a file's name."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components import signing
from components.common.errors import InputError
from schemas.evidence import SealState, Verification
from schemas.signature import TrustList
from tests.components.signing.conftest import NOW, Keys, write_sealed

FILES = ("record.json", "seal.json", "attestation.json", "report.html", "config.yaml", "attributions/shard-000.parquet")


def test_what_was_not_touched_verifies(sealed: Path, keys: Keys) -> None:
    found = signing.verify_folder(sealed, keys.trusted)
    assert (found.state, found.signed_by, found.findings) == (SealState.SIGNED, "pipeline", ())
    (sealed / "scratch.onnx").write_text("no evidence")
    assert signing.verify_folder(sealed, keys.trusted).state is SealState.SIGNED


def verified(folder: Path, keys: Keys) -> Verification | str:
    """What verifying finds, or the error it ends in."""
    try:
        return signing.verify_folder(folder, keys.trusted)
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_single_byte_that_was_changed_is_found(sealed: Path, keys: Keys, name: str, data: st.DataObject) -> None:
    """Changed, put in, or taken away, anywhere in any file: never signed any more."""
    path = sealed / name
    before = path.read_bytes()
    at = data.draw(st.integers(0, len(before) - 1))
    put = data.draw(
        st.sampled_from([b"", b" ", b"0"]) | st.binary(min_size=1, max_size=1).filter(lambda b: b != before[at : at + 1])
    )
    changed = before[:at] + put + before[at + 1 :]
    if changed == before:
        changed = before[:at] + put + before[at:]
    path.write_bytes(changed)
    found = verified(sealed, keys)
    path.write_bytes(before)
    if isinstance(found, str):
        assert "newer schema" in found
        assert name in {"record.json", "seal.json"}
    else:
        assert found.state in {SealState.TAMPERED, SealState.UNKNOWN_KEY}
        assert name in {"record.json", "seal.json"} or any(name in finding for finding in found.findings)


def test_missing_and_added_files_are_named(sealed: Path, keys: Keys) -> None:
    (sealed / "report.html").unlink()
    (sealed / "attributions" / "shard-001.parquet").write_bytes((sealed / "attributions" / "shard-000.parquet").read_bytes())
    found = signing.verify_folder(sealed, keys.trusted)
    assert found.state is SealState.TAMPERED
    assert "report.html is missing" in found.findings
    assert "attributions/shard-001.parquet was not there when the folder was sealed" in found.findings


def test_a_seal_or_signature_taken_away_is_missed(sealed: Path, keys: Keys) -> None:
    unsigned = json.loads((sealed / "seal.json").read_bytes()) | {"signature": None}
    (sealed / "seal.json").write_text(json.dumps(unsigned, sort_keys=True, separators=(",", ":")))
    assert "record says that key" in signing.verify_folder(sealed, keys.trusted).findings[0]
    (sealed / "seal.json").unlink()
    found = signing.verify_folder(sealed, keys.trusted)
    assert found.state is SealState.TAMPERED
    assert "the seal is missing" in found.findings[0]


def test_another_keys_seal_is_not_trusted(record, sample, keys: Keys, tmp_path: Path) -> None:
    other = record.model_copy(update={"decision": record.decision.model_copy(update={"signing_key": keys.mallory.key_id})})
    found = signing.verify_folder(write_sealed(tmp_path / "a", other, sample.tables[0], keys.mallory), keys.trusted)
    assert (found.state, found.signed_by) == (SealState.UNKNOWN_KEY, None)
    assert "calig keys trust" in found.findings[0]
    reviewer = record.model_copy(update={"decision": record.decision.model_copy(update={"signing_key": keys.alice.key_id})})
    found = signing.verify_folder(write_sealed(tmp_path / "b", reviewer, sample.tables[0], keys.alice), keys.trusted)
    assert found.state is SealState.UNKNOWN_KEY, "a reviewer's key does not sign records"
    resealed = write_sealed(tmp_path / "c", record, sample.tables[0], keys.mallory)
    assert signing.verify_folder(resealed, keys.trusted).state is SealState.TAMPERED, "the record names the pipeline's key"


def test_other_values_are_found_although_somebody_sealed_them_anew(sample, keys: Keys, tmp_path: Path) -> None:
    folder = write_sealed(tmp_path / "x", sample.record, sample.tables[0], None)
    assert signing.verify_folder(folder, keys.trusted).state is SealState.UNSIGNED
    table = pq.read_table(folder / "attributions" / "shard-000.parquet")
    pq.write_table(table.slice(1), folder / "attributions" / "shard-000.parquet")
    (folder / "seal.json").write_bytes(signing.seal_folder(folder, sample.record, None, NOW).canonical())
    found = signing.verify_folder(folder, keys.trusted)
    assert found.findings == ("attributions/shard-000.parquet holds other values than the record says",)
    (folder / "attributions" / "shard-000.parquet").rename(folder / "attributions" / "more.parquet")
    (folder / "seal.json").write_bytes(signing.seal_folder(folder, sample.record, None, NOW).canonical())
    assert signing.verify_folder(folder, keys.trusted).findings == (
        "attributions/shard-000.parquet is not among the sealed files, and the record names it",
        "attributions/more.parquet is not named by the record",
    )


def test_without_a_seal_nothing_is_verified(sealed: Path, sample) -> None:
    (sealed / "seal.json").unlink()
    version_1 = Path(__file__).parents[1] / "records" / "version-1.json"
    (sealed / "record.json").write_bytes(version_1.read_bytes())
    assert signing.verify_folder(sealed, TrustList()).state is SealState.UNSEALED
    (sealed / "record.json").unlink()
    with pytest.raises(InputError, match="no record"):
        signing.verify_folder(sealed, TrustList())


def test_newer_schemas_are_said_to_be_newer(sealed: Path, keys: Keys) -> None:
    seal = (sealed / "seal.json").read_bytes()
    (sealed / "seal.json").write_bytes(seal.replace(b'"schema_version":"1"', b'"schema_version":"2"'))
    with pytest.raises(InputError, match=r"(?s)the seal is of a newer schema.*update calig"):
        signing.verify_folder(sealed, keys.trusted)
    (sealed / "seal.json").write_bytes(seal)
    (sealed / "record.json").write_bytes(json.dumps({"schema_version": "4"}).encode())
    with pytest.raises(InputError, match="record is of a newer schema"):
        signing.verify_folder(sealed, keys.trusted)

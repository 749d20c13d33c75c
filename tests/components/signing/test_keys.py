"""Keys and trust: files that nobody else can read, ids that are fingerprints, names and purposes that are kept apart."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from components import signing
from components.common.errors import InputError
from schemas.config import GovernanceConfig
from schemas.signature import Seal, TrustList

SEAL = Seal(record_sha256="ab" * 32, files={}, sealed_at=datetime(2026, 11, 2, tzinfo=UTC), signature=None)


def test_a_key_is_private_never_overwritten_and_its_id_is_the_fingerprint(tmp_path: Path) -> None:
    key_id = signing.create_key(tmp_path / "keys" / "a.pem", None)
    assert (tmp_path / "keys" / "a.pem").stat().st_mode & 0o777 == 0o600
    public = serialization.load_pem_public_key((tmp_path / "keys" / "a.pem.pub").read_bytes())
    assert key_id == hashlib.sha256(public.public_bytes_raw()).hexdigest()[:32]
    assert signing.load_signer(tmp_path / "keys" / "a.pem", None).key_id == key_id
    with pytest.raises(InputError, match="never overwritten"):
        signing.create_key(tmp_path / "keys" / "a.pem", None)


def test_a_passphrase_encrypts_and_is_taken_from_environment_or_file(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.pem"
    key_id = signing.create_key(path, b"sesame")
    assert b"ENCRYPTED" in path.read_bytes()
    for wrong in (None, b"open"):
        with pytest.raises(InputError, match="passphrase is missing or wrong") as raised:
            signing.load_signer(path, wrong)
        assert "sesame" not in str(raised.value)
    monkeypatch.setenv("CALIG_SIGNING_KEY_FILE", str(path))
    monkeypatch.setenv("CALIG_SIGNING_KEY_PASSPHRASE", "sesame")
    assert signing.signer_of(GovernanceConfig()).key_id == key_id
    monkeypatch.delenv("CALIG_SIGNING_KEY_PASSPHRASE")
    (tmp_path / "phrase").write_text("sesame\n")
    monkeypatch.setenv("CALIG_SIGNING_KEY_PASSPHRASE_FILE", str(tmp_path / "phrase"))
    signer = signing.signer_of(GovernanceConfig())
    assert repr(signer) == f"Signer({key_id})"
    monkeypatch.setenv("CALIG_SIGNING_KEY_PASSPHRASE_FILE", str(tmp_path / "missing"))
    with pytest.raises(InputError, match="PASSPHRASE_FILE"):
        signing.signer_of(GovernanceConfig())


def test_no_key_is_configured_by_default(monkeypatch) -> None:
    monkeypatch.delenv("CALIG_SIGNING_KEY_FILE", raising=False)
    assert signing.signer_of(GovernanceConfig()) is None


def test_keys_that_others_can_read_missing_ones_and_other_kinds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pem"
    signing.create_key(path, None)
    path.chmod(0o644)
    with pytest.raises(InputError, match=r"(?s)Others can read.*0644.*chmod 600"):
        signing.load_signer(path, None)
    path.chmod(0o440)
    signing.load_signer(path, None)
    with pytest.raises(InputError, match="cannot be read"):
        signing.load_signer(tmp_path / "missing", None)
    rsa = generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "rsa.pem").write_bytes(rsa)
    (tmp_path / "rsa.pem").chmod(0o600)
    with pytest.raises(InputError, match="another kind"):
        signing.load_signer(tmp_path / "rsa.pem", None)
    with pytest.raises(InputError, match="no public key"):
        signing.add_trust(tmp_path / "trusted.yaml", path, "a", ("records",))
    assert not (tmp_path / "trusted.yaml").exists()


def test_trust_has_names_and_purposes(tmp_path: Path) -> None:
    path = tmp_path / "trusted.yaml"
    for name in ("a", "b"):
        signing.create_key(tmp_path / f"{name}.pem", None)
    added = signing.add_trust(path, tmp_path / "a.pem.pub", "release pipeline", ("records",))
    assert signing.load_trust(path) == TrustList(keys=(added,), found=True)
    with pytest.raises(InputError, match="Another key is trusted under this name"):
        signing.add_trust(path, tmp_path / "b.pem.pub", "release pipeline", ("records",))
    again = signing.add_trust(path, tmp_path / "a.pem.pub", "pipeline", ("records", "sign-offs"))
    assert signing.load_trust(path) == TrustList(keys=(again,), found=True)


def test_a_trust_list_that_is_named_has_to_exist_and_to_be_one(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("CALIG_TRUSTED_KEYS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert signing.load_trust(None) == TrustList()
    with pytest.raises(InputError, match="cannot be read"):
        signing.load_trust(tmp_path / "missing.yaml")
    monkeypatch.setenv("CALIG_TRUSTED_KEYS", str(tmp_path / "missing.yaml"))
    with pytest.raises(InputError, match="cannot be read"):
        signing.load_trust(None)
    signing.create_key(tmp_path / "a.pem", None)
    path = tmp_path / "trusted.yaml"
    signing.add_trust(path, tmp_path / "a.pem.pub", "a", ("records",))
    content = yaml.safe_load(path.read_text())
    content["keys"][0]["public_key"] = base64.b64encode(bytes(32)).decode()
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match="does not have the id"):
        signing.load_trust(path)


def test_a_signature_is_that_of_the_outside_library_over_the_canonical_form(tmp_path: Path) -> None:
    """Checked with `cryptography` alone: what another tool would do."""
    signing.create_key(tmp_path / "a.pem", None)
    sealed = signing.load_signer(tmp_path / "a.pem", None).sign(SEAL)
    public = serialization.load_pem_public_key((tmp_path / "a.pem.pub").read_bytes())
    payload = (
        '{"files":{},"kind":"calig.seal","record_sha256":"' + "ab" * 32 + '","schema_version":"1",'
        '"sealed_at":"2026-11-02T00:00:00Z"}'
    )
    public.verify(base64.b64decode(sealed.signature.value), payload.encode())

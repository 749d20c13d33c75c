"""Verifies a folder of evidence against its seal: what is missing, changed or added, and who signed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from components.common.errors import InputError
from components.records import read_record
from components.signing.keys import UnknownKeyError, check_signature
from components.signing.sealing import (
    ATTESTATION,
    RECORD,
    SEAL,
    TamperedError,
    attestation_problem,
    evidence_files,
    is_canonical,
    read_document,
    sealed_file,
)
from components.table.value_digest import table_digest
from schemas.evidence import SealState, Verification
from schemas.governance import GovernanceReport
from schemas.signature import Seal, TrustedKey, TrustList


def verify_folder(folder: Path, trusted: TrustList) -> Verification:
    """What `folder` (record.json, seal.json, what the seal names, and the attestation) turns out to be.

    Raises:
        InputError: no record at all, a record or seal of a newer schema.
    """
    content = _read(folder / RECORD)
    if content is None:
        raise InputError("This folder holds no record.", got=folder, allowed="a folder with record.json and seal.json")
    try:
        found = verify_record(content, _read(folder / SEAL), trusted)
    except TamperedError as error:
        return _tampered(content, (error.problem,))
    if found.state is SealState.UNSEALED:
        return found
    seal = read_document(Seal, _read(folder / SEAL) or b"", "the seal")
    record, key = read_record(content, folder / RECORD), trusted.find(found.key_id) if found.key_id else None
    findings = tuple(_changed(folder, seal)) or tuple(_other_tables(folder, seal, record))
    findings += tuple(_other_attestation(_read(folder / ATTESTATION), record, seal, key))
    return _tampered(content, findings) if findings else found


def verify_record(content: bytes, seal: bytes | None, trusted: TrustList) -> Verification:
    """The same for the record alone, without the files that the seal names.

    Raises:
        TamperedError: record, seal and signature do not belong together, or one was changed.
        InputError: of a newer schema.
    """
    record = _record(content)
    if seal is None:
        return _unsealed(content, record)
    sealed = read_document(Seal, seal, "the seal")
    digest = hashlib.sha256(content).hexdigest()
    if sealed.record_sha256 != digest or not is_canonical(content):
        raise TamperedError("record.json is not what was sealed: it was changed, or the seal is another record's.")
    _check_stated_key(record, sealed)
    if sealed.signature is None:
        return Verification(state=SealState.UNSIGNED, record_sha256=digest)
    key_id = sealed.signature.key_id
    try:
        key = check_signature(sealed, trusted, "records", "the seal")
    except UnknownKeyError as error:
        return Verification(state=SealState.UNKNOWN_KEY, record_sha256=digest, key_id=key_id, findings=(str(error),))
    except InputError as error:
        raise TamperedError(error.problem) from error
    return Verification(state=SealState.SIGNED, record_sha256=digest, key_id=key_id, signed_by=key.name)


def inspect_record(content: bytes, seal: bytes | None, trusted: TrustList) -> Verification:
    """The same, and what does not hold is a state of the answer instead of an error."""
    try:
        return verify_record(content, seal, trusted)
    except InputError as error:
        return _tampered(content, (str(error),))


def _record(content: bytes) -> GovernanceReport:
    """A record that cannot be read is a changed one, unless it says that it is of a newer schema."""
    try:
        return read_record(content, RECORD)
    except InputError as error:
        if "newer schema" in error.problem:
            raise
        raise TamperedError(f"record.json: {error.problem}") from error


def _unsealed(content: bytes, record: GovernanceReport) -> Verification:
    if record.decision.signing_key is not None:
        raise TamperedError(f"the seal is missing, and the record says that key {record.decision.signing_key} signed one.")
    finding = "there is no seal: nothing says which files belong to the record, or that it is as it was written"
    return Verification(state=SealState.UNSEALED, record_sha256=hashlib.sha256(content).hexdigest(), findings=(finding,))


def _check_stated_key(record: GovernanceReport, seal: Seal) -> None:
    """A signature that was taken away, or put on by another key later, does not fit what the record itself says."""
    signed, stated = None if seal.signature is None else seal.signature.key_id, record.decision.signing_key
    if signed != stated:
        raise TamperedError(f"the record says that key {stated or 'none'} signs it, and key {signed or 'none'} did.")


def _changed(folder: Path, seal: Seal) -> Iterator[str]:
    """Files that are missing, changed, or were not there when the folder was sealed."""
    present = set(evidence_files(folder))
    yield from (f"{name} is missing" for name in seal.files if name not in present)
    yield from (f"{name} was not there when the folder was sealed" for name in sorted(present - set(seal.files)))
    for name, digest in seal.files.items():
        if name in present and sealed_file(folder / name) != digest:
            yield f"{name} was changed"


def _other_tables(folder: Path, seal: Seal, record: GovernanceReport) -> Iterator[str]:
    """Tables that are not those that the record names: this holds also when someone made a new seal.

    Only files that are as they were sealed are opened; a record from before version 2 names none.
    """
    named = {table.file: table.values_sha256 for table in record.evidence}
    sealed = {name for name in seal.files if name.startswith("attributions/")}
    yield from (f"{name} is not among the sealed files, and the record names it" for name in sorted(set(named) - sealed))
    yield from (f"{name} is not named by the record" for name in sorted(sealed - set(named)) if named)
    for name in sorted(sealed & set(named)):
        if table_digest(folder / name) != named[name]:
            yield f"{name} holds other values than the record says"


def _other_attestation(content: bytes | None, record: GovernanceReport, seal: Seal, key: TrustedKey | None) -> Iterator[str]:
    """One that is missing is no finding: it says nothing that the seal does not."""
    problem = None if content is None else attestation_problem(content, record, seal, key)
    if problem is not None:
        yield problem


def _tampered(content: bytes, findings: tuple[str, ...]) -> Verification:
    return Verification(state=SealState.TAMPERED, record_sha256=hashlib.sha256(content).hexdigest(), findings=findings)


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None

"""Seal a results folder: the digests of the record and of all evidence beside it, signed when there is a key."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path

from components.signing.keys import Signer
from schemas.governance import GovernanceReport
from schemas.signature import FileDigest, Seal

SEAL, RECORD, SIGN_OFFS = "seal.json", "record.json", "signoff"
_EVIDENCE = ("config.yaml", "model_card.md", "report.html")


def seal_folder(folder: Path, record: GovernanceReport, signer: Signer | None, now: datetime) -> Seal:
    """The seal over `record`, in canonical form, and every file of evidence that lies in `folder` by now."""
    files = {name: file_digest(folder / name) for name in evidence_files(folder)}
    seal = Seal(record_sha256=record.content_digest(), files=files, sealed_at=now, signature=None)
    return seal if signer is None else signer.sign(seal)


def evidence_files(folder: Path) -> list[str]:
    """Paths of what a seal is about: all that is published beside the record, as far as it is there."""
    tables = sorted(path.relative_to(folder).as_posix() for path in (folder / "attributions").glob("*.parquet"))
    return [*tables, *(name for name in _EVIDENCE if (folder / name).is_file())]


def file_digest(path: Path) -> FileDigest:
    """Digest and size of a file."""
    with path.open("rb") as file:
        return FileDigest(sha256=hashlib.file_digest(file, "sha256").hexdigest(), n_bytes=path.stat().st_size)

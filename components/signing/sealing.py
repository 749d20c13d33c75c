"""Signed documents in canonical form: reads them, refusing anything else, and seals a results folder."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import rfc8785
from pydantic import ValidationError

from components.common.errors import InputError
from components.common.file_digests import file_digest
from components.signing.keys import Signer
from schemas.governance import GovernanceReport
from schemas.signature import FileDigest, Seal, Signable

Document = TypeVar("Document", bound=Signable)

_KNOWN = "1"


class TamperedError(InputError):
    """A document, or what belongs to it, is not as it was written."""


def read_document(kind: type[Document], content: bytes, what: str) -> Document:
    """The document of `kind` in `content`; `what` it is goes into errors.

    Raises:
        InputError: it is of a newer schema.
        TamperedError: it is no such document, or one byte of it is not as it is written.
    """
    try:
        raw = json.loads(content)
        version = str(raw.get("schema_version"))
        if version.isdigit() and int(version) > int(_KNOWN):
            raise InputError(
                f"{what} is of a newer schema.", got=version, allowed=_KNOWN, next_step="update calig, then run again"
            )
        document = kind.model_validate_json(content)
    except (ValidationError, ValueError, AttributeError, RecursionError) as error:
        raise TamperedError(f"{what} cannot be read: it was changed, or is no such document.") from error
    if not is_canonical(content):
        raise TamperedError(f"{what} is not in its canonical form: it was changed after it was written.")
    return document


def is_canonical(content: bytes) -> bool:
    """Whether `content`, which is JSON, is the one form in which that JSON is written (RFC 8785)."""
    return rfc8785.dumps(json.loads(content)) == content


SEAL, RECORD, SIGN_OFFS = "seal.json", "record.json", "signoff"
_EVIDENCE = ("config.yaml", "model_card.md", "report.html")


def seal_folder(folder: Path, record: GovernanceReport, signer: Signer | None, now: datetime) -> Seal:
    """The seal over `record`, in canonical form, and every file of evidence that lies in `folder` by now."""
    files = {name: sealed_file(folder / name) for name in evidence_files(folder)}
    seal = Seal(record_sha256=record.content_digest(), files=files, sealed_at=now, signature=None)
    return seal if signer is None else signer.sign(seal)


def evidence_files(folder: Path) -> list[str]:
    """Paths of what a seal is about: all that is published beside the record, as far as it is there."""
    tables = sorted(path.relative_to(folder).as_posix() for path in (folder / "attributions").glob("*.parquet"))
    return [*tables, *(name for name in _EVIDENCE if (folder / name).is_file())]


def sealed_file(path: Path) -> FileDigest:
    """Digest and size of a file, as a seal names them."""
    return FileDigest(sha256=file_digest(path), n_bytes=path.stat().st_size)

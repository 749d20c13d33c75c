"""Read a signed document's bytes: exactly the canonical form, of a schema that is known, or refused."""

from __future__ import annotations

import json
from typing import TypeVar

import rfc8785
from pydantic import ValidationError

from components.errors import InputError
from schemas.signature import Signable

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

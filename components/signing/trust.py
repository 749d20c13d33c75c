"""Trusted keys: a YAML file of public keys with names, and the check of a signature against it."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path

import yaml
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from components.common.errors import CouldNotRunError, InputError
from components.common.yaml_file import read_yaml_file
from components.signing.keys import key_id, load_public
from schemas.signature import Purpose, Signable, TrustedKey, TrustList

TRUST_FILE = "CALIG_TRUSTED_KEYS"


class UnknownKeyError(InputError):
    """Signed by a key that is not trusted for this."""


class BadSignatureError(InputError):
    """The signature is not one of this document by this key: one of them was changed."""


def trust_path(configured: Path | None) -> Path:
    """Where the trust list is: as configured, as the environment says, or the user's own."""
    named = configured or os.environ.get(TRUST_FILE)
    return Path(named) if named else Path.home() / ".config" / "calig" / "trusted_keys.yaml"


def load_trust(configured: Path | None) -> TrustList:
    """The trusted keys; none when nobody names a list and the user has no own.

    Raises:
        InputError: the list that is named does not exist, or what it holds is no trust list.
    """
    path = trust_path(configured)
    if not path.exists() and not configured and not os.environ.get(TRUST_FILE):
        return TrustList()
    try:
        content = read_yaml_file(path, "list of trusted keys", next_step="calig keys trust FILE.pub --name NAME").content
        trusted = TrustList.model_validate({} if content is None else content)
        for key in trusted.keys:
            if key_id(public_key(key)) != key.key_id:
                raise ValueError(f"the key of {key.name!r} does not have the id {key.key_id}")
    except (OSError, ValidationError, ValueError) as error:
        raise InputError(
            "The list of trusted keys cannot be used.", got=f"{path}: {error}", next_step="calig keys trust FILE.pub --name NAME"
        ) from error
    return trusted.model_copy(update={"found": True})


def add_trust(path: Path, public: Path, name: str, purposes: tuple[Purpose, ...]) -> TrustedKey:
    """Put the public key in the file `public` onto the list `path` under `name`, in place of what the list said of it.

    Raises:
        InputError: no public key, or the name stands for another key already.
        CouldNotRunError: the list cannot be written.
    """
    key = load_public(public)
    encoded = base64.b64encode(key.public_bytes_raw()).decode()
    added = TrustedKey(name=name, key_id=key_id(key), public_key=encoded, purposes=purposes)
    others = [known for known in (load_trust(path).keys if path.exists() else ()) if known.key_id != added.key_id]
    if any(known.name == name for known in others):
        raise InputError("Another key is trusted under this name.", got=name, next_step="choose another name")
    trusted = TrustList(keys=(*others, added))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part-{os.getpid()}")
        part.write_text(yaml.safe_dump(trusted.model_dump(mode="json"), allow_unicode=True, sort_keys=False), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise CouldNotRunError("The list of trusted keys cannot be written.", got=error, next_step="check its folder") from error
    return added


def check_signature(document: Signable, trusted: TrustList, purpose: Purpose, what: str) -> TrustedKey:
    """The trusted key that signed `document`; `what` it is goes into errors.

    Raises:
        UnknownKeyError: it is signed by a key that is not trusted, or not for this purpose.
        BadSignatureError: it has no signature, or one that does not hold.
    """
    signature = document.signature
    if signature is None:
        raise BadSignatureError(f"{what} is not signed.")
    key = trusted.find(signature.key_id)
    if key is None:
        raise UnknownKeyError(
            f"{what} is signed by an unknown key.",
            got=signature.key_id,
            allowed=", ".join(f"{known.key_id} ({known.name})" for known in trusted.keys) or "no key is trusted yet",
            next_step="if it is the right one: calig keys trust FILE.pub --name NAME",
        )
    if purpose not in key.purposes:
        raise UnknownKeyError(f"{what} is signed by {key.name!r}, whose key is not trusted for {purpose}.", got=key.key_id)
    try:
        value = base64.b64decode(signature.value, validate=True)
        if base64.b64encode(value).decode() != signature.value:
            raise ValueError("the signature is not written in its one form")
        public_key(key).verify(value, document.payload())
    except (InvalidSignature, ValueError, binascii.Error) as error:
        raise BadSignatureError(
            f"The signature of {what} does not hold: it was changed after it was signed.", got=key.name
        ) from error
    return key


def public_key(key: TrustedKey) -> Ed25519PublicKey:
    """The key itself; ValueError when it is none."""
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(key.public_key, validate=True))

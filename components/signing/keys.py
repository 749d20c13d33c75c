"""Ed25519 keys in files, named by the fingerprint of the public half; the YAML list of trusted ones, and signatures by them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from pathlib import Path
from typing import TypeVar

import yaml
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import ValidationError

from components.common.errors import CouldNotRunError, InputError
from components.common.whole_files import written_whole
from components.common.yaml_file import read_yaml_file
from schemas.config import GovernanceConfig
from schemas.signature import Purpose, Signable, Signature, TrustedKey, TrustList

Signed = TypeVar("Signed", bound=Signable)

KEY_FILE, PASSPHRASE, PASSPHRASE_FILE = (
    "CALIG_SIGNING_KEY_FILE",
    "CALIG_SIGNING_KEY_PASSPHRASE",
    "CALIG_SIGNING_KEY_PASSPHRASE_FILE",
)

#: Nobody else may read the file, nor its group write it; a group may read, as with secrets mounted into a container.
_TOO_OPEN = 0o037

_KEY_DIGITS = 32
_PEM = serialization.Encoding.PEM

TRUST_FILE = "CALIG_TRUSTED_KEYS"


class Signer:
    """A private key that signs; it shows nothing of itself but its id."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.key_id = key_id(key.public_key())

    def __repr__(self) -> str:
        return f"Signer({self.key_id})"

    def sign(self, document: Signed) -> Signed:
        """`document` with this key's signature."""
        value = base64.b64encode(self.sign_bytes(document.payload())).decode()
        return document.signed(Signature(key_id=self.key_id, value=value))

    def sign_bytes(self, content: bytes) -> bytes:
        """This key's signature of `content`, 64 bytes; what it is for has to be part of the content."""
        return self._key.sign(content)


class UnknownKeyError(InputError):
    """Signed by a key that is not trusted for this."""


class BadSignatureError(InputError):
    """The signature is not one of this document by this key: one of them was changed."""


def create_key(path: Path, passphrase: bytes | None) -> str:
    """Write a new private key to `path` (PEM, mode 0600, encrypted with `passphrase`) and its public half to `path`.pub; its id.

    Raises:
        InputError: one of the files exists already: a key is never overwritten.
        CouldNotRunError: the files cannot be written.
    """
    key, public = Ed25519PrivateKey.generate(), path.with_name(f"{path.name}.pub")
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_new(path, key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, encryption), 0o600)
        _write_new(public, public_pem(key.public_key()), 0o644)
    except FileExistsError as error:
        raise InputError("A key is never overwritten.", got=error.filename, next_step="name another file") from error
    except OSError as error:
        raise CouldNotRunError("The key cannot be written.", got=error, next_step="check the folder") from error
    return key_id(key.public_key())


def signer_of(config: GovernanceConfig, passphrase: bytes | None = None) -> Signer | None:
    """The key that the settings, or the environment, name; None when they name none. Errors as for `load_signer`."""
    path = config.signing_key or os.environ.get(KEY_FILE)
    return None if not path else load_signer(Path(path), passphrase or passphrase_of_environment())


def load_signer(path: Path, passphrase: bytes | None) -> Signer:
    """The private key in `path`.

    Raises:
        InputError: no such file, one that others may read, no Ed25519 private key, or a wrong passphrase.
    """
    try:
        mode, content = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise InputError("The signing key cannot be read.", got=error, next_step="calig keys create FILE") from error
    if mode & _TOO_OPEN:
        got = f"{path}, mode {mode & 0o777:04o}"
        raise InputError("Others can read or change the signing key.", got=got, next_step=f"chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(content, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(
            "The signing key cannot be opened: it is no private key in PEM form, or its passphrase is missing or wrong.",
            got=path,
            next_step=f"give the passphrase in {PASSPHRASE}, or the file that holds it in {PASSPHRASE_FILE}",
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError("The signing key is of another kind.", got=type(key).__name__, allowed="Ed25519")
    return Signer(key)


def passphrase_of_environment() -> bytes | None:
    """The passphrase in the environment or in the file that it names; None when there is none."""
    if value := os.environ.get(PASSPHRASE):
        return value.encode()
    path = os.environ.get(PASSPHRASE_FILE)
    if not path:
        return None
    try:
        return Path(path).read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise InputError(f"The file that {PASSPHRASE_FILE} names cannot be read.", got=error) from error


def load_public(path: Path) -> Ed25519PublicKey:
    """The public key in `path`, as `create_key` writes it.

    Raises:
        InputError: no such file, or no Ed25519 public key; a private key is refused.
    """
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise InputError(
            "This is no public key.",
            got=f"{path}: {error}",
            allowed="the file that ends in .pub",
            next_step="calig keys create FILE",
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise InputError("The key is of another kind.", got=type(key).__name__, allowed="Ed25519")
    return key


def key_id(key: Ed25519PublicKey) -> str:
    """The fingerprint of a public key: the first 32 hex digits of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:_KEY_DIGITS]


def public_pem(key: Ed25519PublicKey) -> bytes:
    """The public key as PEM."""
    return key.public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


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
        with written_whole(path) as part:
            listed = yaml.safe_dump(trusted.model_dump(mode="json"), allow_unicode=True, sort_keys=False)
            part.write_text(listed, encoding="utf-8")
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


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """Made with its mode, never with more and then less."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)

"""Keys, seals over records and their evidence, sign-offs, and trusted keys; the only package that imports cryptography."""

from components.signing.attestation import ATTESTATION, attest
from components.signing.keys import (
    KEY_FILE,
    Signer,
    create_key,
    key_id,
    load_public,
    load_signer,
    passphrase_of_environment,
    signer_of,
)
from components.signing.sealing import (
    RECORD,
    SEAL,
    SIGN_OFFS,
    TamperedError,
    check_reviewer,
    digest_of_entry,
    entry_name,
    next_entry,
    read_chain,
    seal_folder,
    standing,
)
from components.signing.trust import TRUST_FILE, BadSignatureError, UnknownKeyError, add_trust, load_trust, trust_path
from components.signing.verification import inspect_record, verify_folder, verify_record

__all__ = [
    "ATTESTATION",
    "KEY_FILE",
    "RECORD",
    "SEAL",
    "SIGN_OFFS",
    "TRUST_FILE",
    "BadSignatureError",
    "Signer",
    "TamperedError",
    "UnknownKeyError",
    "add_trust",
    "attest",
    "check_reviewer",
    "create_key",
    "digest_of_entry",
    "entry_name",
    "inspect_record",
    "key_id",
    "load_public",
    "load_signer",
    "load_trust",
    "next_entry",
    "passphrase_of_environment",
    "read_chain",
    "seal_folder",
    "signer_of",
    "standing",
    "trust_path",
    "verify_folder",
    "verify_record",
]

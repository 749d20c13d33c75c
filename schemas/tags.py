"""Names of the tags and run parameters that calig reads and writes in MLflow: each is written here and nowhere else.

They lie in schemas because registry, watching, alerts and the flows all name them, and steps do not import each other.
"""

from __future__ import annotations

from enum import StrEnum


class Tag(StrEnum):
    """A tag of a registered model, a model version, a logged model or a run; VERSION and sign-offs are run parameters too."""

    # People write these on a version or its model. The first four count only where the operator admits them.
    DATASET = "calig.dataset"
    CONFIG = "calig.config"
    REFERENCE = "calig.reference"  # on a run: what it was compared with
    TWIN_OF = "calig.twin_of"
    RETRY = "calig.retry"  # changes no result

    # The trigger writes these on a version.
    STATE = "calig.state"
    ATTEMPTS = "calig.attempts"
    REASON = "calig.reason"  # why it was given up; on a run: the first reason of the verdict
    REQUEST = "calig.request"
    SETTLED = "calig.settled"

    # Publishing writes these: the result on version and run, the identity on the run.
    VERDICT = "calig.verdict"
    FINGERPRINT = "calig.fingerprint"
    RUN_ID = "calig.run_id"
    MODEL = "calig.model"
    VERSION = "calig.version"
    PUBLISHED = "calig.published"
    DATA_DIGEST = "calig.data_digest"
    METHOD_FINGERPRINT = "calig.method_fingerprint"
    RECORD_DIGEST = "calig.record_digest"
    SIGNING_KEY = "calig.signing_key"

    # Sign-offs mirror the decision that stands on the version; what counts is the chain.
    SIGN_OFF = "calig.signoff"
    SIGN_OFF_REVIEWER = "calig.signoff.reviewer"
    SIGN_OFF_EXPIRES = "calig.signoff.expires"
    SIGN_OFF_DIGEST = "calig.signoff.digest"


#: Every sign-off is also noted as a parameter of its run: this and its number in the chain.
SIGN_OFF_ENTRY = f"{Tag.SIGN_OFF}."
_ALERT = "calig.alert"


def sign_off_entry(number: int) -> str:
    """The run parameter that notes the digest of a sign-off."""
    return f"{SIGN_OFF_ENTRY}{number:04d}"


def alert_tag(level: str, fingerprint: str) -> str:
    """The tag of a version that lists the channels which have taken an alert: one per level and explanation."""
    return f"{_ALERT}.{level}.{fingerprint[:12]}"

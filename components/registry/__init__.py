"""The MLflow seam: fetch a model version, find its reference, publish its evidence once. Nothing else imports mlflow."""

from components.registry.connection import check_reachable, load_mlflow
from components.registry.evidence.documents import (
    add_sign_off,
    download_evidence,
    download_run,
    fetch_profile,
    find_record,
    noted_sign_offs,
)
from components.registry.evidence.newest import GivenUpError, NeverExplainedError, Verify, newest_explanation, timeline
from components.registry.evidence.publish import check_destination, find_finished, point_to, publish
from components.registry.models.fetch import fetch, is_here
from components.registry.models.folders import model_settings
from components.registry.models.names import parse_model_ref
from components.registry.models.register import register
from components.registry.versions.aliases import (
    accepted_versions,
    earlier_versions,
    other_versions,
    promote,
    reference_for,
    resolve_reference,
    set_alias,
    tagged_twins,
)
from components.registry.versions.notes import (
    note_done,
    note_gave_up,
    note_queued,
    note_running,
    note_state,
    note_told,
    told_channels,
    watched_version,
    watched_versions,
)
from components.registry.webhooks import ensure_webhook

__all__ = [
    "GivenUpError",
    "NeverExplainedError",
    "Verify",
    "accepted_versions",
    "add_sign_off",
    "check_destination",
    "check_reachable",
    "download_evidence",
    "download_run",
    "earlier_versions",
    "ensure_webhook",
    "fetch",
    "fetch_profile",
    "find_finished",
    "find_record",
    "is_here",
    "load_mlflow",
    "model_settings",
    "newest_explanation",
    "note_done",
    "note_gave_up",
    "note_queued",
    "note_running",
    "note_state",
    "note_told",
    "noted_sign_offs",
    "other_versions",
    "parse_model_ref",
    "point_to",
    "promote",
    "publish",
    "reference_for",
    "register",
    "resolve_reference",
    "set_alias",
    "tagged_twins",
    "timeline",
    "told_channels",
    "watched_version",
    "watched_versions",
]

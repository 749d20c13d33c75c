"""The MLflow seam: fetch a model version, find its reference, publish its evidence once. Nothing else imports mlflow."""

from components.registry.alerts import note_told, told_channels
from components.registry.fetch import fetch
from components.registry.history import fetch_profile, find_finished, reference_for, resolve_reference
from components.registry.lineage import TWIN_OF, accepted_versions, twins_of
from components.registry.papers import add_sign_off, download_evidence, fetch_papers, noted_sign_off
from components.registry.promotion import promote
from components.registry.publish import check_destination, point_to, publish
from components.registry.published import fetch_evidence
from components.registry.references import parse_model_ref
from components.registry.register import register, set_alias
from components.registry.timeline import timeline
from components.registry.tracking import check_reachable, load_mlflow
from components.registry.watched import (
    note_done,
    note_gave_up,
    note_queued,
    note_running,
    note_state,
    watched_version,
    watched_versions,
)
from components.registry.webhooks import ensure_webhook

__all__ = [
    "TWIN_OF",
    "accepted_versions",
    "add_sign_off",
    "check_destination",
    "check_reachable",
    "download_evidence",
    "ensure_webhook",
    "fetch",
    "fetch_evidence",
    "fetch_papers",
    "fetch_profile",
    "find_finished",
    "load_mlflow",
    "note_done",
    "note_gave_up",
    "note_queued",
    "note_running",
    "note_state",
    "note_told",
    "noted_sign_off",
    "parse_model_ref",
    "point_to",
    "promote",
    "publish",
    "reference_for",
    "register",
    "resolve_reference",
    "set_alias",
    "timeline",
    "told_channels",
    "twins_of",
    "watched_version",
    "watched_versions",
]

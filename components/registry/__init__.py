"""The MLflow seam: fetch a model version, find its reference, publish its evidence once. Nothing else imports mlflow."""

from components.registry.alerts import note_told, told_channels
from components.registry.fetch import fetch
from components.registry.history import fetch_profile, find_finished, reference_for, resolve_reference
from components.registry.lineage import TWIN_OF, accepted_versions, twins_of
from components.registry.papers import add_sign_off, download_evidence, fetch_papers, noted_sign_off
from components.registry.promotion import promote
from components.registry.publish import publish
from components.registry.published import fetch_evidence
from components.registry.references import parse_model_ref
from components.registry.register import register, set_alias
from components.registry.timeline import timeline

__all__ = [
    "TWIN_OF",
    "accepted_versions",
    "add_sign_off",
    "download_evidence",
    "fetch",
    "fetch_evidence",
    "fetch_papers",
    "fetch_profile",
    "find_finished",
    "note_told",
    "noted_sign_off",
    "parse_model_ref",
    "promote",
    "publish",
    "reference_for",
    "register",
    "resolve_reference",
    "set_alias",
    "timeline",
    "told_channels",
    "twins_of",
]

"""The MLflow seam: fetch a model version, find its reference, publish its evidence once. Nothing else imports mlflow."""

from components.registry.fetch import fetch
from components.registry.history import fetch_profile, find_finished, reference_for, resolve_reference
from components.registry.lineage import TWIN_OF, accepted_versions, twins_of
from components.registry.publish import publish
from components.registry.references import parse_model_ref
from components.registry.register import register, set_alias

__all__ = [
    "TWIN_OF",
    "accepted_versions",
    "fetch",
    "fetch_profile",
    "find_finished",
    "parse_model_ref",
    "publish",
    "reference_for",
    "register",
    "resolve_reference",
    "set_alias",
    "twins_of",
]

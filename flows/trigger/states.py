"""Progress of an explanation, written to the model version's tags; failures to write never stop a run."""

from __future__ import annotations

import logging

from components import registry
from components.common.errors import CaligError
from schemas.governance import GovernanceReport
from schemas.release import ModelSource

_log = logging.getLogger(__name__)


def note_running(model: str, request: str | None) -> None:
    """Note that the version `model` names is being worked on; an alias is left alone, since it is not resolved yet."""
    try:
        ref = registry.parse_model_ref(model)
        if ref.source is ModelSource.REGISTRY and ref.version is not None:
            registry.note_running(ref.name, ref.version, request)
    except CaligError as error:  # what is wrong with the model is said by the step that needs it
        _log.warning("%s: its state could not be noted: %s", model, error)


def note_done(record: GovernanceReport, request: str | None) -> None:
    """Note that the explanation is published; where that fails, `calig reconcile` notes it."""
    try:
        registry.note_done(record.model.name, record.model.version, request)
    except CaligError as error:
        _log.warning("%s: its state could not be noted: %s", record.model.uri, error)

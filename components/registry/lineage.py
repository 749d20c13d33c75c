"""Versions of a model that tell how much honest training changes: reseeded twins, and earlier versions that were accepted."""

from __future__ import annotations

from typing import Any

from components.registry.tracking import connect, tracking_errors
from components.registry.versions import all_versions
from schemas.base import Verdict
from schemas.release import ModelRef, ModelSource

#: On a model version: the number of the version of which it is another training run, by another seed.
TWIN_OF = "calig.twin_of"


def twins_of(name: str, version: str, tracking_uri: str | None) -> list[ModelRef]:
    """The versions tagged as twins of `version`, newest first.

    Raises:
        CouldNotRunError: when the registry does not answer.
    """
    return [_ref(known) for known in _newest_first(name, tracking_uri) if known.tags.get(TWIN_OF) == version]


def accepted_versions(name: str, tracking_uri: str | None) -> list[ModelRef]:
    """The versions whose explanation passed, newest first, twins left out; errors as above."""
    passed = [known for known in _newest_first(name, tracking_uri) if known.tags.get("calig.verdict") == Verdict.PASS]
    return [_ref(known) for known in passed if TWIN_OF not in known.tags]


def _newest_first(name: str, tracking_uri: str | None) -> list[Any]:
    client = connect(tracking_uri)
    with tracking_errors(f"list the versions of {name!r}", client.tracking_uri):
        found = all_versions(client, name)
    return sorted((known for known in found if known.status == "READY"), key=lambda known: -int(known.version))


def _ref(known: Any) -> ModelRef:
    uri = f"models:/{known.name}/{known.version}"
    return ModelRef(uri=uri, source=ModelSource.REGISTRY, name=known.name, version=str(known.version))

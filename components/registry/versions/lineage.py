"""Versions of a model that tell how much honest training changes: tagged twins, and earlier versions that were accepted."""

from __future__ import annotations

from typing import Any

from components.registry.connection import connect, tracking_errors
from components.registry.evidence.runs import complete_runs
from components.registry.versions.lookup import all_versions
from schemas.base import Verdict
from schemas.release import ModelRef, ModelSnapshot, ModelSource
from schemas.tags import Tag


def tagged_twins(name: str, version: str) -> list[ModelRef]:
    """The versions whose tag TWIN_OF names `version`, newest first. Whoever may tag a version can set it.

    Raises:
        CouldNotRunError: when the registry does not answer.
    """
    return [_ref(known) for known in _newest_first(name) if known.tags.get(Tag.TWIN_OF) == version]


def accepted_versions(name: str) -> list[ModelRef]:
    """The versions that some run says have passed, newest first; what the run holds is not verified. Errors as above."""
    client = connect()
    with tracking_errors(f"list the explanations of {name!r}"):
        tags = [run.data.tags for run in complete_runs(client, name)]
    passed = {tag.get(Tag.VERSION) for tag in tags if tag.get(Tag.VERDICT) == Verdict.PASS}
    return [_ref(known) for known in _newest_first(name) if str(known.version) in passed]


def earlier_versions(snapshot: ModelSnapshot) -> list[ModelRef]:
    """The versions of the same model that were registered before `snapshot`, newest first; errors as above."""
    return [_ref(known) for known in _newest_first(snapshot.name) if int(known.version) < int(snapshot.version)]


def _newest_first(name: str) -> list[Any]:
    client = connect()
    with tracking_errors(f"list the versions of {name!r}"):
        found = all_versions(client, name)
    return sorted((known for known in found if known.status == "READY"), key=lambda known: -int(known.version))


def _ref(known: Any) -> ModelRef:
    uri = f"models:/{known.name}/{known.version}"
    return ModelRef(uri=uri, source=ModelSource.REGISTRY, name=known.name, version=str(known.version))

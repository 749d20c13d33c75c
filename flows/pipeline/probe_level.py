"""Level of the vocabulary probe for one version, by the outcomes of the model's earlier versions (probe.across_versions).

Outcomes are read from evidence that a comparison may rest on (flows/evidence/standing.py) and from nothing else. Where that is
missing or in doubt, the configured level is in force: more versions fail by chance, none passes by it.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from components import probe, registry
from components.common.errors import CaligError
from flows.common import progress
from flows.evidence import standing
from schemas.base import CheckVerdict
from schemas.config import ProbeConfig
from schemas.evidence import PastProbe
from schemas.planned_release import Release
from schemas.probe import ProbeLevel
from schemas.release import ModelRef, ModelSnapshot, ModelSource
from schemas.signature import TrustList

#: Most other versions whose evidence is read, the newest by number: some seconds for each hundred, whoever registers how many.
MOST_VERSIONS = 100

_NEVER = (registry.NeverExplainedError, registry.GivenUpError)


class _Judged(NamedTuple):
    version: str
    at: datetime
    failed: bool


class _DoubtError(Exception):
    """Why the outcomes of the earlier versions are not known."""


def with_probe_level(release: Release) -> Release:
    """The release with the probe's level by its earlier versions, where the settings ask for that and something is probed."""
    settings = release.config.probe
    if settings.across_versions == "none" or not settings.enabled or release.reference is None:
        return release
    progress.begin("reading the outcomes of earlier versions", None)
    level = _by_earlier(release.snapshot, settings, standing.trusted_keys(release.config))
    return release.model_copy(update={"probe_level": level})


def level_of(release: Release) -> ProbeLevel:
    """The level in force."""
    level = release.config.probe.level
    return release.probe_level or ProbeLevel(rule="none", level=level, configured=level)


def _by_earlier(snapshot: ModelSnapshot, settings: ProbeConfig, trusted: TrustList) -> ProbeLevel:
    try:
        earlier = _earlier(snapshot, trusted)
    except _DoubtError as doubt:
        return ProbeLevel(rule="none", level=settings.level, configured=settings.level, doubt=str(doubt))
    return ProbeLevel(
        rule="LORD++",
        level=probe.lord_level([one.failed for one in earlier], settings.level, settings.level_floor),
        configured=settings.level,
        floor=min(settings.level_floor, settings.level),
        earlier=tuple(one.version for one in earlier),
        failed=tuple(one.version for one in earlier if one.failed),
    )


def _earlier(snapshot: ModelSnapshot, trusted: TrustList) -> list[_Judged]:
    """The versions whose probe was first judged before this one's was, oldest first."""
    if snapshot.source is not ModelSource.REGISTRY:
        raise _DoubtError("the model is no version of a registered model")
    own = _judged(registry.parse_model_ref(snapshot.uri), trusted)
    try:
        others = registry.other_versions(snapshot)[:MOST_VERSIONS]
    except CaligError as error:
        raise _DoubtError(f"the versions of {snapshot.name} cannot be listed: {error.problem}") from error
    judged = [one for ref in others if (one := _judged(ref, trusted)) is not None]
    return sorted((one for one in judged if own is None or one.at < own.at), key=lambda one: (one.at, int(one.version)))


def _judged(ref: ModelRef, trusted: TrustList) -> _Judged | None:
    """The version's first judged probe; later ones are the same test again. None: its probe was never judged."""
    try:
        evidence = standing.verified_evidence(ref, trusted)
    except _NEVER:
        return None
    except CaligError as error:
        raise _DoubtError(f"version {ref.version} {standing.reason_unusable(error)}") from error
    first = next((one for one in evidence.probes if _was_judged(one)), None)
    return None if first is None else _Judged(str(ref.version), first.created_at, first.verdict is CheckVerdict.FAIL)


def _was_judged(past: PastProbe) -> bool:
    return past.verdict in {CheckVerdict.PASS, CheckVerdict.FAIL}

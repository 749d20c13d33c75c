"""What a release is compared with: the reference, explained again where that is allowed, and the versions that measure noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from components import drift, privacy, registry, signing
from components.errors import InputError
from flows import tasks
from flows.release import Release
from flows.standing import explanation_of, require_trusted
from schemas.drift import DriftReport
from schemas.reference import NullProfiles, ReferenceIdentity, ReferenceProfile
from schemas.release import ModelRef, ModelSnapshot, ModelSource

_CHAMPION = "champion"


class Found(NamedTuple):
    """The reference version, its profile when there is one, and else the finding that there is nothing to compare with."""

    ref: ModelRef | None
    profile: ReferenceProfile | None
    without: DriftReport | None


def reference_of(snapshot: ModelSnapshot, reference: str | None, workspace: Path) -> Found:
    """The version that `snapshot` is compared with: the one named, or @champion.

    Raises:
        InputError: no such version, or a results folder that cannot be read.
    """
    if reference is not None and drift.is_results_folder(reference):
        return _from_folder(Path(reference))
    ref = _champion(snapshot) if reference is None else registry.resolve_reference(registry.parse_model_ref(reference), None)
    if ref is None or ref.version is None:
        return Found(None, None, drift.not_applicable(_no_reference(snapshot)))
    if (ref.name, ref.version) == (snapshot.name, snapshot.version):
        return Found(None, None, drift.not_applicable("this version is itself the reference"))
    profile, problem = _published(ref, workspace)
    if profile is None:
        again = f"explain models:/{ref.name}/{ref.version} with this data set and configuration, then this version again"
        step = f"{again}; or allow it here: --reexplain-reference"
        return Found(ref, None, drift.incomparable(f"the reference {ref.uri} {problem}", next_step=step))
    return Found(ref, profile.model_copy(update={"identity": profile.identity.model_copy(update={"alias": ref.alias})}), None)


def made_comparable(release: Release, ref: ModelRef | None) -> Release:
    """`release` with its reference explained again by `release`'s settings, where that is needed and allowed."""
    if ref is None or not release.config.drift.reexplain_reference or _fits(release.reference, release):
        return release
    again = _again(ref, release)
    if again is None:
        return release
    profile = planned_profile(again, ref.alias)
    return release.model_copy(update={"reference": profile, "without_reference": None, "pending": (*release.pending, again)})


def with_null(release: Release) -> Release:
    """`release` with the profiles of the reference's twins, and of accepted versions when the twins are too few."""
    reference = release.reference
    if reference is None or release.config.drift.null_versions == 0 or not _registered(reference, release.snapshot):
        return release
    most, name = release.config.drift.null_versions, reference.identity.name
    twins = _others(registry.twins_of(name, reference.identity.version, None), release)
    null, pending = _null("twins", twins[:most], release)
    nulls = [null]
    n = len(null.profiles) + 1
    if n * (n - 1) // 2 < release.config.drift.min_null_pairs:
        accepted = _others(registry.accepted_versions(name, None), release)[:most]
        nulls.append(_null("history", accepted[::-1], release)[0])
    return release.model_copy(
        update={"nulls": tuple(n for n in nulls if n.profiles or n.skipped), "pending": (*release.pending, *pending)}
    )


def planned_profile(again: Release, alias: str | None) -> ReferenceProfile:
    """The profile that explaining `again` will leave."""
    return ReferenceProfile(
        identity=ReferenceIdentity(
            name=again.snapshot.name,
            version=again.snapshot.version,
            alias=alias,
            method_fingerprint=again.method_fingerprint,
            weights_digest=again.snapshot.weights_digest,
        ),
        dataset_digest=again.dataset.digest,
        labels=again.snapshot.labels,
        fusion=again.config.attribution.fusion,
        tables=tuple(again.shard_path(index) for index in range(again.n_shards)),
    )


def _from_folder(folder: Path) -> Found:
    record, profile = drift.load_record(folder), drift.load_profile(folder)
    try:
        ref = registry.parse_model_ref(record.model.uri)
    except InputError:  # the model has gone since: what it left can still be compared with
        ref = None
    return Found(ref, profile, None)


def _published(ref: ModelRef, workspace: Path) -> tuple[ReferenceProfile | None, str]:
    """The profile published for a version, or why there is none to use."""
    try:
        trusted = signing.load_trust(None)
        evidence = explanation_of(ref, trusted)
        require_trusted(evidence, trusted)
        return drift.load_profile(registry.fetch_profile(evidence, workspace, None)), ""
    except registry.NeverExplainedError:
        return None, "was never explained"
    except InputError as error:
        return None, f"left a profile that cannot be used: {str(error).splitlines()[0]}"


def _fits(profile: ReferenceProfile | None, release: Release) -> bool:
    hindrance = profile and drift.obstacle(profile, release.method_fingerprint, release.dataset.digest, release.snapshot.labels)
    return profile is not None and hindrance is None and privacy.hindrance(profile.privacy, release.config.privacy) is None


def _again(ref: ModelRef, release: Release) -> Release | None:
    """The other version as a release of its own by the same rows and settings; None when its classes are others."""
    snapshot = tasks.fetch_model(ref, release.workspace)
    if snapshot.labels != release.snapshot.labels:
        return None
    alone = {"snapshot": snapshot, "reference": None, "without_reference": None, "nulls": (), "pending": ()}
    return release.model_copy(update=alone)


def _null(kind: str, refs: Sequence[ModelRef], release: Release) -> tuple[NullProfiles, list[Release]]:
    """The profiles of `refs`; twins without a fitting one are explained again where that is allowed."""
    profiles: list[ReferenceProfile] = []
    pending: list[Release] = []
    skipped: list[str] = []
    for ref in refs:
        profile, problem = _published(ref, release.workspace)
        if kind == "twins" and release.config.drift.reexplain_reference and not _fits(profile, release):
            again = _again(ref, release)
            if again is not None:
                pending.append(again)
                profile = planned_profile(again, None)
        if profile is None:
            skipped.append(f"version {ref.version} {problem}")
        else:
            profiles.append(profile)
    return NullProfiles.model_validate({"kind": kind, "profiles": profiles, "skipped": skipped}), pending


def _others(refs: Sequence[ModelRef], release: Release) -> list[ModelRef]:
    """Without the candidate: what is judged must not set its own limits."""
    own = (release.snapshot.name, release.snapshot.version)
    return [ref for ref in refs if (ref.name, ref.version) != own]


def _registered(reference: ReferenceProfile, snapshot: ModelSnapshot) -> bool:
    """Whether the reference is a version of the candidate's registered model, so that its relatives can be looked up."""
    return snapshot.source is ModelSource.REGISTRY and reference.identity.name == snapshot.name


def _champion(snapshot: ModelSnapshot) -> ModelRef | None:
    return registry.reference_for(snapshot, _CHAMPION, None) if snapshot.source is ModelSource.REGISTRY else None


def _no_reference(snapshot: ModelSnapshot) -> str:
    if snapshot.source is not ModelSource.REGISTRY:
        return "no --reference was given, and a model outside the registry has no @champion"
    return f"no earlier version of {snapshot.name} is marked @{_CHAMPION}: a first release has nothing to be compared with"

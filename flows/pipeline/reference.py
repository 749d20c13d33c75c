"""Reference of a release: finds it, plans its re-explanation where allowed, and adds the versions that measure noise.

The reference is the same model's @champion, or the version that the operator names. Its tables, and those of twins and accepted
versions, are used only after their evidence was verified (flows/evidence/standing.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from components import drift, privacy, registry
from components.common.errors import CaligError, InputError
from flows.evidence import standing
from flows.pipeline import tasks
from schemas.base import Verdict
from schemas.config import PipelineConfig
from schemas.drift import DriftReport
from schemas.planned_release import Release
from schemas.reference import Doubt, NullProfiles, ReferenceIdentity, ReferenceProfile
from schemas.release import ModelRef, ModelSnapshot, ModelSource
from schemas.signature import TrustList
from schemas.tags import Tag

_CHAMPION = "champion"


class Candidate(NamedTuple):
    """What is to be compared, and where downloads go."""

    snapshot: ModelSnapshot
    workspace: Path
    trusted: TrustList


class Found(NamedTuple):
    """The reference version, its profile when there is one, and else the finding that there is nothing to compare with.

    `doubt`: why no pass can rest on a comparison with it.
    """

    ref: ModelRef | None
    profile: ReferenceProfile | None
    without: DriftReport | None
    doubt: Doubt | None = None


def find_reference(candidate: Candidate, reference: str | None) -> Found:
    """Find the version that `candidate` is compared with: the one named, or @champion.

    Raises:
        InputError: no such version, or a results folder that cannot be read.
    """
    if reference is not None and drift.is_results_folder(reference):
        return _from_folder(Path(reference), candidate)
    if reference is None:
        ref, without = _champion(candidate)
        return Found(None, None, without) if ref is None else _published(ref, candidate)
    ref = registry.resolve_reference(registry.parse_model_ref(reference))
    if (ref.name, ref.version) == (candidate.snapshot.name, candidate.snapshot.version):
        return Found(None, None, _compared_with_itself(candidate.snapshot))
    return _published(ref, candidate)


def plan_reexplanation(release: Release, ref: ModelRef | None) -> Release:
    """Add a re-explanation of the reference by `release`'s settings, where that is needed and allowed."""
    if ref is None or not release.config.drift.reexplain_reference or _fits(release.reference, release):
        return release
    again = _again(ref, release)
    if again is None:
        return release
    profile = planned_profile(again, ref.alias, release.reference)
    return release.model_copy(update={"reference": profile, "without_reference": None, "pending": (*release.pending, again)})


def add_noise_profiles(release: Release) -> Release:
    """Add the profiles of the reference's twins, and of accepted versions when the twins are too few."""
    reference = release.reference
    if reference is None or release.config.drift.null_versions == 0 or not _registered(reference, release.snapshot):
        return release
    most = release.config.drift.null_versions
    twins, ignored = _twins(reference.identity, release.config)
    null, pending = _null("twins", _others(twins, release)[:most], release)
    nulls = [null.model_copy(update={"skipped": (*ignored, *null.skipped)})]
    n = len(null.profiles) + 1
    if n * (n - 1) // 2 < release.config.drift.min_null_pairs:
        accepted = _others(_accepted(reference.identity.name, release.config), release)[:most]
        nulls.append(_null("history", accepted[::-1], release)[0])
    return release.model_copy(
        update={"nulls": tuple(n for n in nulls if n.profiles or n.skipped), "pending": (*release.pending, *pending)}
    )


def planned_profile(again: Release, alias: str | None, evidence: ReferenceProfile | None = None) -> ReferenceProfile:
    """The profile that explaining `again` will leave; `evidence`: the version's own, which the new record names."""
    known = None if evidence is None else evidence.identity
    return ReferenceProfile(
        identity=ReferenceIdentity(
            name=again.snapshot.name,
            version=again.snapshot.version,
            alias=alias,
            run_id=known and known.run_id,
            record_sha256=known and known.record_sha256,
            method_fingerprint=again.method_fingerprint,
            weights_digest=again.snapshot.weights_digest,
        ),
        dataset_digest=again.dataset.digest,
        labels=again.snapshot.labels,
        fusion=again.config.attribution.fusion,
        tables=tuple(again.shard_path(index) for index in range(again.n_shards)),
    )


def _champion(candidate: Candidate) -> tuple[ModelRef | None, DriftReport | None]:
    """@champion of the same model, or what is said without one.

    A version that is @champion itself is compared with the version it was accepted against. Without that, and without any
    @champion, only a first release has nothing to be compared with: the alias could have been moved or taken away.
    """
    snapshot = candidate.snapshot
    if snapshot.source is not ModelSource.REGISTRY:
        return None, drift.not_applicable("no --reference was given, and a model outside the registry has no @champion")
    champion = registry.reference_for(snapshot, _CHAMPION)
    if champion is not None and champion.version != snapshot.version:
        return champion, None
    if champion is not None and (before := _accepted_against(candidate)) is not None:
        return before, None
    earlier = _accepted_before(candidate)
    return None, _first_release(snapshot) if earlier is None else _unmarked(snapshot, earlier, is_champion=champion is not None)


def _accepted_before(candidate: Candidate) -> ModelRef | None:
    """The newest earlier version whose evidence passed, or cannot be relied on, so that it may have: tags do not decide this."""
    for ref in registry.earlier_versions(candidate.snapshot):
        try:
            evidence = standing.verified_evidence(ref, candidate.trusted)
        except registry.NeverExplainedError:
            continue
        except InputError:
            return ref
        if standing.was_accepted(evidence, candidate.trusted):
            return ref
    return None


def _accepted_against(candidate: Candidate) -> ModelRef | None:
    """The version of the same model that the candidate's own earlier explanation, if there is one, was compared with."""
    snapshot = candidate.snapshot
    try:
        own = standing.verified_evidence(registry.parse_model_ref(snapshot.uri), candidate.trusted)
    except InputError:
        return None
    reference = own.record.drift.reference
    if reference is None or reference.name != snapshot.name or reference.version == snapshot.version:
        return None
    return registry.parse_model_ref(f"models:/{reference.name}/{reference.version}")


def _first_release(snapshot: ModelSnapshot) -> DriftReport:
    return drift.not_applicable(
        f"no earlier version of {snapshot.name} is marked @{_CHAMPION} or was accepted: a first release has nothing to be "
        "compared with"
    )


def _unmarked(snapshot: ModelSnapshot, earlier: ModelRef, *, is_champion: bool) -> DriftReport:
    if is_champion:
        reason = f"this version is @{_CHAMPION} itself, and nothing says which version it was accepted against"
    else:
        reason = f"no version of {snapshot.name} is marked @{_CHAMPION}, although version {earlier.version} was accepted"
    mark = "" if is_champion else f"mark the version in production (calig gate {earlier.uri} --promote), or "
    return drift.incomparable(reason, next_step=f"{mark}name the version to compare with: --reference {earlier.uri}")


def _compared_with_itself(snapshot: ModelSnapshot) -> DriftReport:
    return drift.incomparable(
        f"the reference is this very version, {snapshot.name} {snapshot.version}: compared with itself it cannot differ",
        next_step="name an earlier version, or none to compare with @champion",
    )


def _from_folder(folder: Path, candidate: Candidate) -> Found:
    """The explanation in a results folder, verified like a published one."""
    record = drift.load_record(folder)
    profile = standing.profile_in_folder(folder, candidate.trusted)
    try:
        ref = registry.parse_model_ref(record.model.uri)
    except InputError:  # the model has gone since: what it left can still be compared with
        ref = None
    accepted = record.decision.verdict is Verdict.PASS
    return Found(ref, profile, None, _doubt(profile.identity, candidate.snapshot, accepted=accepted))


def _published(ref: ModelRef, candidate: Candidate) -> Found:
    """A version with the profile that was published for it."""
    try:
        evidence = standing.verified_evidence(ref, candidate.trusted)
        profile = standing.profile_of(evidence, candidate.workspace)
    except InputError as error:
        return _without_profile(ref, error)
    identity = profile.identity.model_copy(update={"alias": ref.alias})
    doubt = _doubt(identity, candidate.snapshot, accepted=standing.was_accepted(evidence, candidate.trusted))
    return Found(ref, profile.model_copy(update={"identity": identity}), None, doubt)


def _without_profile(ref: ModelRef, error: InputError) -> Found:
    again = f"explain {ref.uri} with this data set and configuration, then this version again"
    reason = f"the reference {ref.uri} {standing.reason_unusable(error)}"
    without = drift.incomparable(reason, next_step=f"{again}; a look without a verdict: --reexplain-reference")
    return Found(ref, None, without, Doubt(reason=f"{reason}, so that it was not accepted", next_step=again))


def _doubt(reference: ReferenceIdentity, snapshot: ModelSnapshot, *, accepted: bool) -> Doubt | None:
    """Why no pass can rest on a comparison with `reference`, if so."""
    name = f"the reference, {reference.name} version {reference.version},"
    if reference.weights_digest == snapshot.weights_digest:
        step = "name an earlier version with --reference; the verdict on these weights is the reference's own"
        return Doubt(reason=f"{name} has the same weights: compared with itself a model cannot differ", next_step=step)
    if not accepted:
        step = f"explain {reference.uri} until it passes, or compare with a version that did: --reference"
        return Doubt(reason=f"{name} was not accepted: its own explanation did not pass", next_step=step)
    return None


def _fits(profile: ReferenceProfile | None, release: Release) -> bool:
    hindrance = profile and drift.obstacle(profile, release.method_fingerprint, release.dataset.digest, release.snapshot.labels)
    return profile is not None and hindrance is None and privacy.hindrance(profile.privacy, release.config.privacy) is None


def _again(ref: ModelRef, release: Release) -> Release | None:
    """The other version as a release of its own by the same rows and settings; None when its classes are others."""
    snapshot = tasks.fetch_model(ref, release.workspace)
    if snapshot.labels != release.snapshot.labels:
        return None
    alone = {"snapshot": snapshot, "reference": None, "without_reference": None, "doubt": None, "nulls": (), "pending": ()}
    return release.model_copy(update=alone)


def _twins(reference: ReferenceIdentity, config: PipelineConfig) -> tuple[list[ModelRef], list[str]]:
    """The reference's twins that the operator nominated, newest first, and what is said of tags that do not count."""
    nominated = [f"models:/{reference.name}/{version}" for version in config.drift.twins.get(int(reference.version), ())]
    tagged = [ref.uri for ref in registry.tagged_twins(reference.name, reference.version)]
    counted = [*nominated, *(tagged if config.drift.twin_tags else [])]
    ignored = [uri.rpartition("/")[2] for uri in tagged if uri not in counted]
    said = f"the tag {Tag.TWIN_OF} on versions {', '.join(ignored)} does not count here: nominate twins in drift.twins"
    twins = [registry.parse_model_ref(uri) for uri in dict.fromkeys(counted)]
    return sorted(twins, key=lambda ref: -int(str(ref.version))), [said] if ignored else []


def _accepted(name: str, config: PipelineConfig) -> list[ModelRef]:
    """Versions that are said to have passed, newest first; a twin's pass is no release."""
    twins = {str(version) for versions in config.drift.twins.values() for version in versions}
    return [ref for ref in registry.accepted_versions(name) if ref.version not in twins]


def _null(kind: str, refs: Sequence[ModelRef], release: Release) -> tuple[NullProfiles, list[Release]]:
    """The profiles of `refs`; twins without a fitting one are explained again where that is allowed."""
    profiles: list[ReferenceProfile] = []
    pending: list[Release] = []
    skipped: list[str] = []
    trusted = standing.trusted_keys(release.config)
    for ref in refs:
        profile = _honest_profile(ref, release.workspace, trusted)
        if isinstance(profile, str):
            skipped.append(f"version {ref.version} {profile}")
            continue
        if kind == "twins" and release.config.drift.reexplain_reference and not _fits(profile, release):
            again = _again(ref, release)
            if again is not None:
                pending.append(again)
                profile = planned_profile(again, None, profile)
        profiles.append(profile)
    return NullProfiles.model_validate({"kind": kind, "profiles": profiles, "skipped": skipped}), pending


def _honest_profile(ref: ModelRef, workspace: Path, trusted: TrustList) -> ReferenceProfile | str:
    """The profile of a version that may raise limits, or why it may not, as what it did."""
    try:
        return standing.profile_of(standing.honest_evidence(ref, trusted), workspace)
    except CaligError as error:
        return standing.reason_unusable(error)


def _others(refs: Sequence[ModelRef], release: Release) -> list[ModelRef]:
    """Without the candidate: what is judged must not set its own limits."""
    own = (release.snapshot.name, release.snapshot.version)
    return [ref for ref in refs if (ref.name, ref.version) != own]


def _registered(reference: ReferenceProfile, snapshot: ModelSnapshot) -> bool:
    """Whether the reference is a version of the candidate's registered model, so that its relatives can be looked up."""
    return snapshot.source is ModelSource.REGISTRY and reference.identity.name == snapshot.name

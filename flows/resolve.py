"""Settle a release before any work: which version, which rows, which settings, compared with what."""

from __future__ import annotations

from pathlib import Path

from components import attribution, drift, quality, registry
from components.errors import InputError
from flows import progress, tasks
from flows.release import Release
from schemas.config import PipelineConfig
from schemas.drift import DriftReport, ReferenceProfile
from schemas.fusion import FusionChoice
from schemas.release import DatasetRef, ModelRef, ModelSnapshot, ModelSource

_CHAMPION = "champion"


def resolve(model: str, dataset: Path, reference: str | None, config: PipelineConfig, limit: int | None, output: Path) -> Release:
    """Fetch the version, pin the data set, find the reference; bad input ends here."""
    progress.begin("fetching the model and reading the data set", None)
    workspace = output / ".cache"
    snapshot = tasks.fetch_model(registry.parse_model_ref(model), workspace)
    _check_target(config.attribution.target, snapshot)
    pinned = tasks.read_dataset(dataset, limit, snapshot)
    config = _with_suite(config, snapshot)
    profile, without = _reference(snapshot, reference, workspace)
    choice = _fusion(config, snapshot, pinned, profile, workspace)
    settled = config.attribution if choice is None else config.attribution.fused_by(choice.fusion)
    return Release(
        snapshot=snapshot,
        dataset=pinned,
        config=config.model_copy(update={"attribution": settled}),
        fusion_choice=choice,
        suite_digest=quality.suite_digest(config.quality.suite),
        method_fingerprint=attribution.method_fingerprint(settled),
        reference=profile,
        without_reference=without,
        output=output,
    )


def _fusion(
    config: PipelineConfig, snapshot: ModelSnapshot, dataset: DatasetRef, profile: ReferenceProfile | None, workspace: Path
) -> FusionChoice | None:
    """Which fusion to use, when that is left open: the reference's, so that the two compare; else what suits the model best."""
    if config.attribution.fusion_coefficient != "auto":
        return None
    if profile is not None:
        version = f"{profile.identity.name} {profile.identity.version}"
        return FusionChoice(fusion=profile.fusion, reason=f"the reference, {version}, was explained with it", frozen_by=version)
    return tasks.choose_fusion(snapshot, dataset, config, workspace)


def _check_target(target: str, snapshot: ModelSnapshot) -> None:
    if target not in {"predicted", "gold", *snapshot.labels}:
        allowed = ", ".join(["predicted", "gold", *snapshot.labels])
        raise InputError("setting 'attribution.target': the model has no such class", got=target, allowed=allowed)


def _with_suite(config: PipelineConfig, snapshot: ModelSnapshot) -> PipelineConfig:
    """The settings with `auto` resolved, so that the record says which suite judged."""
    suite = quality.suite_for(config.quality.suite, snapshot.modality)
    return config.model_copy(update={"quality": config.quality.model_copy(update={"suite": suite})})


def _reference(
    snapshot: ModelSnapshot, reference: str | None, workspace: Path
) -> tuple[ReferenceProfile | None, DriftReport | None]:
    """The reference's profile, or the finding that there is none to compare with."""
    if reference is not None and (Path(reference) / "record.json").is_file():
        return drift.load_profile(Path(reference)), None
    ref = _champion(snapshot) if reference is None else registry.resolve_reference(registry.parse_model_ref(reference), None)
    if ref is None or ref.version is None:
        return None, drift.not_applicable(_no_reference(snapshot))
    if (ref.name, ref.version) == (snapshot.name, snapshot.version):
        return None, drift.not_applicable("this version is itself the reference")
    folder = registry.fetch_profile(ref.name, ref.version, workspace, None)
    if folder is None:
        return None, drift.incomparable(
            f"the reference {ref.uri} was never explained",
            next_step=f"explain models:/{ref.name}/{ref.version} with this data set and configuration, then this version again",
        )
    profile = drift.load_profile(folder)
    return profile.model_copy(update={"identity": profile.identity.model_copy(update={"alias": ref.alias})}), None


def _champion(snapshot: ModelSnapshot) -> ModelRef | None:
    return registry.reference_for(snapshot, _CHAMPION, None) if snapshot.source is ModelSource.REGISTRY else None


def _no_reference(snapshot: ModelSnapshot) -> str:
    if snapshot.source is not ModelSource.REGISTRY:
        return "no --reference was given, and a model outside the registry has no @champion"
    return f"no earlier version of {snapshot.name} is marked @{_CHAMPION}: a first release has nothing to be compared with"

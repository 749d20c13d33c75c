"""Checks settings, model and data before any attribution."""

from __future__ import annotations

from pathlib import Path

from components import attribution, drift, probe, quality, registry
from components.common.file_digests import file_digest
from flows.common import progress
from flows.evidence.standing import trusted_keys
from flows.pipeline import redact, tasks
from flows.pipeline.dataset import examples_in
from flows.pipeline.probe import with_probe_level
from flows.pipeline.reference import Candidate, add_noise_profiles, find_reference, plan_reexplanation
from schemas.config import WORD_FILES, PipelineConfig
from schemas.fusion import FusionChoice
from schemas.planned_release import Release
from schemas.reference import ReferenceProfile
from schemas.release import DatasetRef, ModelSnapshot


def check_preconditions(snapshot: ModelSnapshot, dataset: DatasetRef, config: PipelineConfig) -> None:
    """Refuse what cannot be explained or judged: a broken suite or file of words, settings or rows that do not fit the model.

    Raises:
        InputError: with the first reason found.
    """
    settings = config.quality
    drift.word_sets(config.drift.sets_file)
    probe.read_word_list(config.probe.word_list)
    probe.read_transformation_words(config.probe.transformation_words)
    columns = quality.column_names(settings, dataset.segment_columns)
    quality.load_suite(settings.suite, columns=columns, modules=quality.listed_modules(settings))
    attribution.check_ready(snapshot, examples_in(dataset, snapshot.labels), config.attribution)
    attribution.choose_perturbation(snapshot, config.attribution, settings.perturbation)


def resolve(model: str, dataset: Path, reference: str | None, config: PipelineConfig, limit: int | None, output: Path) -> Release:
    """Fetch the version, pin the data set, find the reference; bad input ends here."""
    progress.begin("fetching the model and reading the data set", None)
    workspace = output / ".cache"
    snapshot = tasks.fetch_model(registry.parse_model_ref(model), workspace)
    attribution.check_target(config.attribution.target, snapshot)
    pinned = tasks.read_dataset(dataset, limit, snapshot, config.attribution)
    attribution.check_gold(config.attribution.target, pinned)
    attribution.check_explain(config.attribution.explain, pinned)
    config = redact.name_key(_with_suite(config, snapshot), snapshot)
    found = find_reference(Candidate(snapshot, workspace, trusted_keys(config)), reference)
    choice = _fusion(config, snapshot, pinned, found.profile, workspace)
    settled = config.attribution if choice is None else config.attribution.fused_by(choice.fusion)
    release = Release(
        snapshot=snapshot,
        dataset=pinned,
        config=config.model_copy(update={"attribution": settled}),
        fusion_choice=choice,
        suite_digest=quality.suite_digest(config.quality.suite, quality.listed_modules(config.quality)),
        word_files=_word_files(config),
        method_fingerprint=attribution.method_fingerprint(settled),
        reference=found.profile,
        without_reference=found.without,
        doubt=found.doubt,
        output=output,
    )
    return with_probe_level(add_noise_profiles(plan_reexplanation(release, found.ref)))


def _fusion(
    config: PipelineConfig, snapshot: ModelSnapshot, dataset: DatasetRef, profile: ReferenceProfile | None, workspace: Path
) -> FusionChoice | None:
    """Which fusion to use, when that is left open: the reference's, so that the two compare; else what suits the model best."""
    if config.attribution.fusion_coefficient != "auto":
        return None
    if profile is not None:
        version = f"{profile.identity.name} {profile.identity.version}"
        return FusionChoice(fusion=profile.fusion, reason=f"the reference, {version}, was explained with it", frozen_by=version)
    check_preconditions(snapshot, dataset, config)  # choosing attributes rows
    return tasks.choose_fusion(snapshot, dataset, config, workspace)


def _word_files(config: PipelineConfig) -> dict[str, str]:
    """SHA-256 of each file of words that the settings name; one that is not there is refused by the preconditions."""
    named = {f"{section}.{name}": getattr(getattr(config, section), name) for section, name in WORD_FILES}
    return {name: file_digest(path) for name, given in named.items() if given and (path := given.expanduser()).is_file()}


def _with_suite(config: PipelineConfig, snapshot: ModelSnapshot) -> PipelineConfig:
    """The settings with `auto` resolved, so that the record says which suite judged."""
    suite = quality.suite_for(config.quality.suite, snapshot.modality)
    return config.model_copy(update={"quality": config.quality.model_copy(update={"suite": suite})})

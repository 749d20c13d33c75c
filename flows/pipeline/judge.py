"""Runs the judging steps; a step that raises becomes an `inconclusive` finding, and nothing computed is lost."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from components import attribution, drift, governance, privacy, quality
from components.common.errors import InputError
from flows.common import progress
from flows.common.run_limits import LimitError
from flows.pipeline import redact, tasks
from flows.pipeline.score import score_shards
from schemas.drift import DriftReport
from schemas.planned_release import Release
from schemas.quality import Falsification, QualityReport
from schemas.reference import NoiseSources
from schemas.shards import ShardResult


def falsify(release: Release, tables: list[Path], n_explained: int, force: bool) -> Falsification | None:
    """What came of the attempt to falsify the maps; None when the settings want none. An attempt that breaks stops nothing."""
    settings = release.config
    if not settings.quality.falsification_rows:
        return None
    try:
        steps = attribution.falsification_steps(release.snapshot, n_explained, settings.attribution, settings.quality)
        progress.begin("trying to falsify the maps", steps)
        return tasks.falsify.with_options(refresh_cache=force)(release, tables)
    except Exception as error:  # the report says that it was not tried, and checks on it are inconclusive
        return Falsification(problem=privacy.told(error, settings.privacy))


def measure_quality(
    release: Release, shards: list[ShardResult], falsification: Falsification | None, force: bool
) -> QualityReport:
    """The quality report; when it cannot be made, an inconclusive one that says why, so that nothing computed is lost.

    Raises:
        InputError: the suite or a setting cannot be used.
        LimitError: the run reached a limit; what is scored is kept.
    """
    progress.begin("measuring quality", release.dataset.n_rows)
    settings = release.config
    try:
        quality.check_settings(settings.quality, release.snapshot.modality)
        perturbation = attribution.choose_perturbation(release.snapshot, settings.attribution, settings.quality.perturbation)
        scored = score_shards(release, shards, perturbation, force)
        return tasks.judge_quality(release.alone(), scored, perturbation, falsification)
    except (InputError, LimitError):
        raise
    except Exception as error:  # whatever it was, the verdict is "could not be judged"
        return governance.unjudged_quality(release.config.quality.suite, privacy.told(error, release.config.privacy))


def compare(release: Release, tables: list[Path], cover: privacy.Cover) -> DriftReport:
    """The drift report, in the cover's names; a comparison that breaks is inconclusive.

    Args:
        release: with its reference in the cover's names, see `redact.rename_references`.
        tables: the raw ones.
        cover: what the texts are covered with.
    """
    if release.reference is None:
        return release.without_reference or drift.not_applicable("there is no reference version")
    progress.begin("comparing with the reference", None)
    hindrance = redact.obstacle(release.reference, release)
    if hindrance is not None:
        step = "set privacy.texts and the key as they were, or explain the reference again: --reexplain-reference"
        return drift.incomparable(
            f"the reference cannot be compared: {hindrance}", reference=release.reference.identity, next_step=step
        )
    try:
        report = drift.compare(
            cover.named(tables),
            release.reference,
            method_fingerprint=release.method_fingerprint,
            dataset_digest=release.dataset.digest,
            labels=release.snapshot.labels,
            config=release.config,
            decided_on=datetime.now(UTC).date().isoformat(),
            sources=_noise_sources(release, cover),
            toward_reference=cover.named(_toward_reference(release, tables)),
        )
        return cover.report(report if release.doubt is None else drift.doubted(report, release.doubt))
    except Exception as error:  # as above
        return drift.incomparable(
            f"the comparison broke: {privacy.told(error, release.config.privacy)}",
            reference=release.reference.identity,
            next_step="run again with --debug and report the error",
        )


def _toward_reference(release: Release, tables: list[Path]) -> list[Path]:
    """Tables of the rows whose own explanation has no counterpart in the reference, explained toward the reference's targets."""
    reference, fingerprint = release.reference, release.method_fingerprint
    if reference is None or drift.obstacle(reference, fingerprint, release.dataset.digest, release.snapshot.labels) is not None:
        return []  # the comparison says why
    targets = drift.unmatched_targets(reference.tables, tables)
    return tasks.explain_toward(release, targets) if targets else []


def _noise_sources(release: Release, cover: privacy.Cover) -> NoiseSources:
    """What the drift's noise floor is measured on; an exact run that breaks leaves its layer unmeasured, and says so."""
    try:
        return NoiseSources(nulls=release.nulls, numerics=tuple(cover.named(tasks.explain_exactly(release))))
    except Exception as error:  # the comparison itself can still be made
        problem = f"the numbers' error could not be measured: {privacy.told(error, release.config.privacy)}".split("\n", 1)[0]
        return NoiseSources(nulls=release.nulls, problem=problem)

"""From paired attributions to a DriftReport: what changed, beyond which threshold, and what that means for the release."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.drift.agreement import layer_profile, rank_agreement, reason_change, sign_flip, statistics
from components.drift.pairing import PairedExample, pair, read_rows
from components.drift.thresholds import thresholds
from components.drift.word_shift import word_shifts
from schemas.base import CheckVerdict
from schemas.config import PipelineConfig
from schemas.drift import DriftExample, DriftReport, DriftWord, ReferenceIdentity, ReferenceProfile, WordShift

#: Word shifts listed in the report; all are tested.
_LISTED_WORDS = 30


def not_applicable(reason: str) -> DriftReport:
    """There is nothing to compare with, for instance on a first release."""
    return DriftReport(verdict=CheckVerdict.NOT_APPLICABLE, reason=reason)


def incomparable(reason: str, *, next_step: str, reference: ReferenceIdentity | None = None, n_paired: int = 0) -> DriftReport:
    """There is a reference, but the comparison could not be made: inconclusive, never a pass."""
    return DriftReport(
        verdict=CheckVerdict.INCONCLUSIVE, reason=reason, reference=reference, n_paired=n_paired, next_step=next_step
    )


def compare(
    tables: Sequence[Path],
    reference: ReferenceProfile,
    *,
    method_fingerprint: str,
    dataset_digest: str,
    labels: Sequence[str],
    config: PipelineConfig,
    decided_on: str,
) -> DriftReport:
    """Compare a candidate's attribution tables with the reference's, paired by example.

    Args:
        tables: the candidate's Parquet files.
        reference: the version compared with.
        method_fingerprint, dataset_digest, labels: the candidate's; they must equal the reference's.
        config: thresholds and minimum counts.
        decided_on: ISO date written into the thresholds' birth certificates.
    """
    obstacle = _obstacle(reference, method_fingerprint, dataset_digest, labels)
    if obstacle is not None:
        return incomparable(obstacle, reference=reference.identity, next_step=_EXPLAIN_AGAIN.format(reference.identity))
    ours, theirs = read_rows(tables), read_rows(reference.tables)
    examples = list(pair(theirs, ours, labels))
    if len(examples) < config.drift.min_rows:
        return incomparable(
            f"{len(examples)} examples are explained by both versions; at least {config.drift.min_rows} are needed",
            reference=reference.identity,
            n_paired=len(examples),
            next_step="explain more rows (a larger --limit or data set), or lower drift.min_rows",
        )
    return _report(examples, theirs, ours, reference.identity, config, decided_on)


_EXPLAIN_AGAIN = "explain the reference again with this data set and configuration: calig explain models:/{0.name}/{0.version} …"


def _obstacle(reference: ReferenceProfile, method: str, dataset: str, labels: Sequence[str]) -> str | None:
    """Why the two cannot be compared, if so."""
    if reference.dataset_digest != dataset:
        return "the reference was explained on other rows (the data digests differ)"
    if reference.identity.method_fingerprint != method:
        return "the reference was explained with other attribution settings (the method fingerprints differ)"
    if set(reference.labels) != set(labels):
        return f"the two versions have different classes: {', '.join(reference.labels)} and {', '.join(labels)}"
    return None


def _report(
    examples: list[PairedExample],
    theirs: dict[str, dict[str, Any]],
    ours: dict[str, dict[str, Any]],
    identity: ReferenceIdentity,
    config: PipelineConfig,
    decided_on: str,
) -> DriftReport:
    shifts = word_shifts(examples, config.drift)
    firing = [s for s in shifts if s.fires]
    table = statistics(examples, config.drift, config.quality)
    common = [key for key in theirs if key in ours]
    return DriftReport(
        verdict=CheckVerdict.FAIL if firing else CheckVerdict.PASS,
        reason=_reason(firing, shifts, [s.name for s in table if s.fires]),
        reference=identity,
        n_paired=len(examples),
        accuracy_change=_accuracy_change(common, theirs, ours),
        flipped=sum(theirs[k]["predicted"] != ours[k]["predicted"] for k in common),
        statistics=tuple(table),
        word_shifts=tuple(shifts[:_LISTED_WORDS]),
        words_tested=len(shifts),
        layer_profile=layer_profile(examples),
        worst=tuple(_worst(examples, config.drift.worst_examples)),
        thresholds=tuple(thresholds(config.drift, decided_on)),
        next_step=_next_step(firing),
    )


def _reason(firing: list[WordShift], shifts: list[WordShift], diffuse: list[str]) -> str:
    """One sentence for a release manager, the strongest finding first."""
    if firing:
        s = firing[0]
        others = f", and {len(firing) - 1} more" if len(firing) > 1 else ""
        return (
            f"the word “{s.word}” now carries {s.candidate_share:+.0%} of the attribution toward {s.toward} "
            f"(before: {s.reference_share:+.0%}; z = {s.z:.1f}, {s.n} examples){others}"
        )
    largest = f"; the largest shift is “{shifts[0].word}” ({shifts[0].shift:+.0%}, z = {shifts[0].z:.1f})" if shifts else ""
    warning = f"; diffuse change, as retraining also causes, in {', '.join(sorted(set(diffuse)))}" if diffuse else ""
    return f"no single word's share of the reasons shifted beyond the thresholds{largest}{warning}"


def _next_step(firing: list[WordShift]) -> str:
    if not firing:
        return ""
    words = ", ".join(f"“{s.word}”" for s in firing[:3])
    return f"look for {words} in the training data of this version: is it evidence, or an artefact of how the data was gathered?"


def _accuracy_change(keys: list[str], theirs: dict[str, dict[str, Any]], ours: dict[str, dict[str, Any]]) -> float | None:
    """Candidate's minus reference's accuracy on the labelled rows both explain."""
    labelled = [k for k in keys if ours[k]["label"] is not None]
    if not labelled:
        return None
    right: list[list[bool]] = [[side[k]["predicted"] == side[k]["label"] for k in labelled] for side in (theirs, ours)]
    return (sum(right[1]) - sum(right[0])) / len(labelled)


def _worst(examples: list[PairedExample], n: int) -> list[DriftExample]:
    """Same answer, different reason: the examples whose reasons moved most, word by word."""
    same = sorted((e for e in examples if e.same_answer), key=lambda e: (-reason_change(e), e.id))
    return [_example(e) for e in same[:n]]


def _example(example: PairedExample) -> DriftExample:
    words = zip(example.units, example.reference.tolist(), example.candidate.tolist(), strict=True)
    return DriftExample(
        id=example.id,
        text=example.text,
        label=example.label,
        reference_prediction=example.predictions[0],
        candidate_prediction=example.predictions[1],
        rank_agreement=rank_agreement(example),
        sign_flip=sign_flip(example),
        words=tuple(DriftWord(text=t, start=s, end=e, reference=a, candidate=b) for (t, (s, e)), a, b in words),
    )

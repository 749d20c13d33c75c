"""Compares a candidate's attributions with the reference's: the DriftReport, its verdict and its limits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components.common.errors import InputError
from components.common.outputs import typical_deviation
from components.drift import findings
from components.drift.comparability import obstacle, other_baseline, shortfall
from components.drift.examples import Examples
from components.drift.limits import judged_by, numerics_floor, thresholds
from components.drift.matching import Pairing, match
from components.drift.noise import measure_noise
from components.drift.pairing import Pairs
from components.drift.power import power_of, shortage
from components.drift.sets import WordSet, word_sets
from components.drift.slices import most_changed
from components.drift.statistics.layers import words_by_layer
from components.drift.statistics.ranking import global_ranking
from components.drift.statistics.registry import summarise
from components.drift.statistics.set_shift import set_shifts
from components.drift.statistics.word_shift import own_phrases, strongest, typical_decisions, word_shifts
from components.table.rows import StoredRows, read_rows
from schemas.base import CheckVerdict
from schemas.config import DriftConfig, PipelineConfig
from schemas.drift import DriftReport, Noise, SetShift, WordShift
from schemas.reference import Doubt, NoiseSources, ReferenceIdentity, ReferenceProfile

#: Word shifts listed in the report; all are tested.
_LISTED_WORDS = 30

#: Effect with which a word turns even a typical answer into as firm an opposite: a limit beyond it sees nothing.
_BLIND = 2.0


def not_applicable(reason: str) -> DriftReport:
    """There is nothing to compare with, for instance on a first release."""
    return DriftReport(verdict=CheckVerdict.NOT_APPLICABLE, reason=reason)


def incomparable(reason: str, *, next_step: str, reference: ReferenceIdentity | None = None, n_paired: int = 0) -> DriftReport:
    """There is a reference, but the comparison could not be made: inconclusive, never a pass."""
    return DriftReport(
        verdict=CheckVerdict.INCONCLUSIVE, reason=reason, reference=reference, n_paired=n_paired, next_step=next_step
    )


def doubted(report: DriftReport, doubt: Doubt) -> DriftReport:
    """`report` with a pass made inconclusive: it does not count when the reference itself is in doubt. A change found stands."""
    if report.verdict is not CheckVerdict.PASS:
        return report
    found = {"verdict": CheckVerdict.INCONCLUSIVE, "reason": f"{doubt.reason} ({report.reason})", "next_step": doubt.next_step}
    return report.model_copy(update=found)


def compare(  # noqa: PLR0913 - two versions and what is to be equal of them; all but two by name
    tables: Sequence[Path],
    reference: ReferenceProfile,
    *,
    method_fingerprint: str,
    dataset_digest: str,
    labels: Sequence[str],
    config: PipelineConfig,
    decided_on: str,
    sources: NoiseSources | None = None,
    toward_reference: Sequence[Path] = (),
) -> DriftReport:
    """Compare a candidate's attribution tables with the reference's, paired by example.

    Args:
        tables: the candidate's Parquet files.
        reference: the version compared with.
        method_fingerprint, dataset_digest, labels: the candidate's; they must equal the reference's.
        config: thresholds and minimum counts.
        decided_on: ISO date written into the thresholds' birth certificates.
        sources: what the noise floor is measured on; without it the stated prior is used.
        toward_reference: tables of the candidate's rows that `unmatched_targets` names, explained toward those targets.
    """
    hindrance = obstacle(reference, method_fingerprint, dataset_digest, labels)
    if hindrance is not None:
        return incomparable(hindrance, reference=reference.identity, next_step=_EXPLAIN_AGAIN.format(reference.identity))
    other = other_baseline(reference.tables, tables)
    if other is not None:
        return incomparable(other, reference=reference.identity, next_step=_ONE_BASELINE)
    try:
        ours, theirs, again = (read_rows(paths) for paths in (tables, reference.tables, toward_reference))
    except InputError as error:
        return incomparable(str(error), reference=reference.identity, next_step=_EXPLAIN_AGAIN.format(reference.identity))
    try:
        sets = word_sets(config.drift.sets_file)
    except InputError as error:
        return incomparable(str(error), reference=reference.identity, next_step="mend the file that drift.sets_file names")
    return _compared(theirs, ours, again, reference, config, decided_on, sources or NoiseSources(), sets)


_ONE_BASELINE = "set attribution.baseline to one that both versions have (pad, mean), and explain both with it"

_EXPLAIN_AGAIN = (
    "explain the reference again with this data set and configuration: --reexplain-reference, or calig explain "
    "models:/{0.name}/{0.version} …"
)


def _compared(
    theirs: StoredRows,
    ours: StoredRows,
    toward_reference: StoredRows,
    reference: ReferenceProfile,
    config: PipelineConfig,
    decided_on: str,
    sources: NoiseSources,
    sets: Sequence[WordSet],
) -> DriftReport:
    """Inconclusive when too few rows are comparable, or when honest noise is so large that nothing could fire."""
    pairing = match(theirs, ours, reference.labels, toward_reference, config=config.drift)
    short = shortfall(pairing.coverage, config.drift)
    if short is not None:
        return _unjudged(*short, pairing, reference.identity)
    if _is_constant(pairing.examples):
        return _unjudged(*_NO_UNIT, pairing, reference.identity)
    noise = measure_noise(reference, theirs, ours, sources, config.drift, sets)
    judged = judged_by(config.drift, noise)
    again = Pairs(theirs, ours, reference.labels, toward_reference)
    report = _report(pairing, again, reference.identity, config.model_copy(update={"drift": judged}), noise, sets)
    answers, change = pairing.answers, pairing.answers.prediction_change
    facts = {
        "accuracy_change": answers.accuracy_change,
        "prediction_change": change,
        "flipped": answers.flipped if change is None else change.moved,
        "thresholds": tuple(thresholds(config.drift, judged, noise, decided_on)),
    }
    return _seen(report, config.drift, judged, noise).model_copy(update=facts)


_NO_UNIT = (
    "the reference, a regression, gives half of the rows or more one and the same output: effects have nothing to be measured by",
    "explain rows that it answers differently, or compare with another version",
)


def _is_constant(examples: Examples) -> bool:
    """Whether the reference is a regression whose outputs have no typical deviation."""
    outputs = examples.column("output")
    outputs = outputs[~np.isnan(outputs)]
    return len(outputs) > 0 and typical_deviation(outputs) == 0.0


def _report(
    pairing: Pairing, again: Pairs, identity: ReferenceIdentity, config: PipelineConfig, noise: Noise, sets: Sequence[WordSet]
) -> DriftReport:
    """The report by the limits in `config`; the pairs are read `again`, with their layers, where a word fires."""
    examples = pairing.examples
    units, grouped = word_shifts(examples, config.drift), set_shifts(examples, sets, noise, config.drift)
    tests = [s for s in units if s.length == 1]
    if not tests and not any(s.fires for s in grouped):
        reason = f"no word occurs in {config.drift.min_occurrences} of the compared rows: nothing could be tested"
        return _unjudged(reason, "explain more rows, or lower drift.min_occurrences", pairing, identity)
    shifts = strongest(tests)
    phrases = own_phrases([s for s in units if s.length > 1], shifts)
    firing = [s for s in shifts if s.fires]
    by_layer = words_by_layer(again, firing) if firing else []
    firing = [s.model_copy(update={"by_layer": layers}) for s, layers in zip(firing, by_layer, strict=True)]
    table = summarise(examples, config.drift, config.quality)
    power = power_of(examples, tests, config.drift)
    firing_phrases, warning = [s for s in phrases if s.fires], [s for s in (*shifts, *phrases) if s.warns]
    verdict, reason, next_step = _judged([*firing, *firing_phrases], grouped, shortage(power, config.drift))
    return DriftReport(
        verdict=verdict,
        reason=reason or findings.reason([*firing, *firing_phrases], warning, shifts, [s.name for s in table if s.fires], noise),
        reference=identity,
        n_paired=len(examples),
        coverage=pairing.coverage,
        statistics=tuple(table),
        typical_decision=typical_decisions(examples),
        word_shifts=_listed(firing, shifts),
        words_tested=len(shifts),
        tests=len(units),
        phrase_shifts=tuple(phrases[:_LISTED_WORDS]),
        phrases_tested=len(units) - len(tests),
        set_shifts=tuple(grouped),
        most_changed=most_changed(examples, sets, config.quality.seed),
        layer_profile=pairing.found.layer_profile,
        ranking=global_ranking(examples),
        worst=pairing.found.worst,
        noise=noise,
        power=power,
        next_step=next_step,
    )


def _judged(firing: list[WordShift], grouped: list[SetShift], short: tuple[str, str] | None) -> tuple[CheckVerdict, str, str]:
    """Verdict, reason and next step; the reason is empty where the words have the say."""
    if firing:
        return CheckVerdict.FAIL, "", findings.next_step(firing)
    moved = next((s for s in grouped if s.fires), None)
    if moved is not None:
        step = f"look at rows with words of the set “{moved.name}” in the training data of this version: what stands beside them?"
        return CheckVerdict.FAIL, findings.reason_of_set(moved), step
    unjudged = next((findings.unjudged_set(s) for s in grouped if s.verdict is CheckVerdict.INCONCLUSIVE), None)
    hindrance = short or unjudged
    if hindrance is not None:
        return CheckVerdict.INCONCLUSIVE, *hindrance
    return CheckVerdict.PASS, "", ""


def _listed(firing: list[WordShift], shifts: list[WordShift]) -> tuple[WordShift, ...]:
    return tuple([*firing, *shifts[len(firing) :]][:_LISTED_WORDS])


def _unjudged(reason: str, next_step: str, pairing: Pairing, identity: ReferenceIdentity) -> DriftReport:
    n = pairing.coverage.n_compared
    report = incomparable(reason, next_step=next_step, reference=identity, n_paired=n)
    return report.model_copy(update={"coverage": pairing.coverage})


def _seen(report: DriftReport, config: DriftConfig, judged: DriftConfig, noise: Noise) -> DriftReport:
    """`report`, or inconclusive where no change could be told from noise: no finding is then not the same as no change."""
    if numerics_floor(noise) > judged.word_shift and report.verdict is CheckVerdict.PASS:
        reason = (
            f"the error of the numbers alone moves a word's effect by up to {noise.numerics:.2f} of a typical decision: with a "
            f"limit of {judged.word_shift:.2f} a change cannot be told from it"
        )
        step = "explain more exactly: attribution.dtype float64, or a smaller attribution.tolerance"
    elif judged.word_shift >= _BLIND > config.word_shift:
        reason = (
            f"noise alone shifts words so far that the limit would be {judged.word_shift:.2f} of a typical decision: no change "
            "could be told from it"
        )
        step = "look at the pairs of the noise floor: is one of the twins, or of the accepted versions, no honest retraining?"
    else:
        return report
    return report.model_copy(update={"verdict": CheckVerdict.INCONCLUSIVE, "reason": reason, "next_step": step})

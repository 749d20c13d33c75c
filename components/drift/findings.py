"""Findings of a comparison in words and examples: the sentence for a release manager, the next step, the worst rows."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np

from components.common.outputs import MOVED, typical_deviation
from components.drift.pairing import PairedExample, moved_by
from components.drift.statistics.agreement import rank_agreement, reason_change, sign_flip
from components.table.gold import decisions_of, error_of, output_of, own_id
from components.table.rows import Answer
from schemas.drift import DriftExample, DriftWord, Noise, PredictionChange, SetShift, WordShift


def reason(firing: Sequence[WordShift], shifts: Sequence[WordShift], diffuse: Sequence[str], noise: Noise) -> str:
    """One sentence for a release manager, the strongest finding first."""
    if firing:
        s = firing[0]
        kind = "word" if s.length == 1 else "phrase"
        others = f", and {len(firing) - 1} more" if len(firing) > 1 else ""
        where = "" if s.slice == "all" else f" where {s.slice}"
        return (
            f"the {kind} “{s.word}” now carries {s.candidate_share:+.0%} of the attribution toward {s.toward}{where} "
            f"(before: {s.reference_share:+.0%}); each occurrence counts {s.effect:+.2f} of a typical decision more than before"
            f"{_turns(s)} (z = {s.z:.1f}, {s.n} examples){others}"
        )
    top = next(iter(shifts), None)
    largest = f"; the largest is “{top.word}” ({top.effect:+.2f} of a typical decision, z = {top.z:.1f})" if top else ""
    cause = "as retraining also causes" if noise.retraining == "prior" else "more than among honest retrainings of this model"
    warning = f"; diffuse change, {cause}, in {', '.join(sorted(set(diffuse)))}" if diffuse else ""
    return f"no single word's effect shifted beyond the thresholds{largest}{warning}"


def reason_of_set(found: SetShift) -> str:
    """The same of a set whose words moved together."""
    moved = ", ".join(f"“{word}”" for word in found.strongest[:3])
    return (
        f"the words of the set “{found.name}” together count {found.effect:+.2f} of a typical decision more toward "
        f"{found.toward} than before, each occurrence ({found.words} words, t = {found.t:.1f}; most of all {moved})"
    )


def unjudged_set(found: SetShift) -> tuple[str, str]:
    """Why a set that the operator named could not be judged, and what to do."""
    if found.effect is None:
        seen = f"{found.words} of its words occur" if found.words else "none of its words occurs"
        reason = f"the set “{found.name}” (drift.sets_file) was not tested: {seen} in the compared rows"
    else:
        reason = (
            f"of the set “{found.name}” (drift.sets_file) only a change from {found.detectable_effect:.2f} of a typical decision "
            f"on could be seen ({found.words} words)"
        )
    if found.words_needed is None:
        return reason, "nominate reseeded twins: they measure how alike its words move; more words alone would not do"
    return reason, f"explain rows with at least {found.words_needed:,} different words of the set, or take it out of the file"


def _turns(shift: WordShift) -> str:
    """How many answers so large an effect could turn, where that is known of any."""
    return f", enough to turn {shift.turned:.0%} of the answers there" if shift.turned else ""


def next_step(firing: Sequence[WordShift]) -> str:
    """What to do about the words that fired; empty when none did."""
    if not firing:
        return ""
    words = ", ".join(f"“{s.word}”" for s in firing[:3])
    return f"look for {words} in the training data of this version: is it evidence, or an artefact of how the data was gathered?"


def accuracy(answers: Sequence[Answer]) -> float | None:
    """Share of the decisions that are as labelled, see `decisions_of`; None without labels."""
    different = {own_id(answer): answer for answer in answers}
    made = [found for answer in different.values() if (found := decisions_of(answer)) is not None]
    return sum(found.right for found in made) / sum(found.made for found in made) if made else None


def prediction_change(answers: Sequence[tuple[Answer, Answer]]) -> PredictionChange | None:
    """How far the outputs of a regression moved between two versions, reference and candidate of each row; None for classes."""
    outputs = [(output_of(before), output_of(now)) for before, now in answers]
    known = [at for at, (a, b) in enumerate(outputs) if a is not None and b is not None and isfinite(a) and isfinite(b)]
    if not known:
        return None
    pairs = np.array([outputs[at] for at in known], dtype=float)
    unit, change = typical_deviation(pairs[:, 0]), pairs[:, 1] - pairs[:, 0]
    errors = [tuple(error_of(side) for side in answers[at]) for at in known]
    grown = [abs(new) - abs(old) for old, new in errors if old is not None and new is not None]
    return PredictionChange(
        unit=unit,
        mean=float(change.mean()),
        median_absolute=float(np.median(np.abs(change))),
        p95_absolute=float(np.quantile(np.abs(change), 0.95)),
        n=len(known),
        moved=sum(moved_by((a, b), unit) > MOVED for a, b in pairs.tolist()),
        error_change=float(np.mean(grown)) if grown else None,
    )


def worst(examples: Sequence[PairedExample], n: int) -> list[DriftExample]:
    """Same answer, different reason: the examples whose reasons moved most, word by word."""
    same = sorted((e for e in examples if e.same_answer), key=lambda e: (-reason_change(e), e.id))
    return [_example(e) for e in same[:n]]


def _example(example: PairedExample) -> DriftExample:
    words = zip(example.units, example.reference.tolist(), example.candidate.tolist(), strict=True)
    return DriftExample(
        id=example.id,
        text=example.text,
        label=example.label,
        toward=example.toward,
        opposite=example.opposite,
        reference_prediction=example.predictions[0],
        candidate_prediction=example.predictions[1],
        rank_agreement=rank_agreement(example),
        sign_flip=sign_flip(example),
        pair_start=example.pair_start,
        words=tuple(DriftWord(text=t, start=s, end=e, reference=a, candidate=b) for (t, (s, e)), a, b in words),
    )

"""Findings of a comparison in words and examples: the sentence for a release manager, the next step, the worst rows."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import isfinite

import numpy as np

from components.common.outputs import MOVED, typical_deviation
from components.drift.pairing import PairedExample, moved_by
from components.drift.statistics.agreement import rank_agreement, reason_change, sign_flip
from components.table.gold import decisions_of, error_of, output_of, own_id
from components.table.rows import Row
from schemas.drift import DriftExample, DriftWord, Noise, PredictionChange, SetShift, WordShift


def reason(
    firing: Sequence[WordShift],
    warning: Sequence[WordShift],
    shifts: Sequence[WordShift],
    diffuse: Sequence[str],
    noise: Noise,
) -> str:
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
    largest = f"; {_largest(warning, shifts)}" if shifts else ""
    cause = "as retraining also causes" if noise.retraining == "prior" else "more than among honest retrainings of this model"
    everywhere = f"; diffuse change, {cause}, in {', '.join(sorted(set(diffuse)))}" if diffuse else ""
    return f"no single word's effect shifted beyond the thresholds{largest}{everywhere}"


def _largest(warning: Sequence[WordShift], shifts: Sequence[WordShift]) -> str:
    """The word to look at first, and whether it warns."""
    top = next(iter((*warning, *shifts)))
    seen = f"“{top.word}” ({top.effect:+.2f} of a typical decision, z = {top.z:.1f}"
    if not warning:
        return f"the largest is {seen})"
    others = f", and at {len(warning) - 1} more" if len(warning) > 1 else ""
    return f"a warning, look at {seen}, {top.n} examples, q = {top.q_value:.2g}){others}"


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


class Answers:
    """Answers of both versions as their rows stream past: how many are right, how many changed, where a regression's numbers lie.

    Of a regression three numbers a row are kept. Rows that stand for the labels of one row of the file follow each other.
    """

    def __init__(self) -> None:
        self.flipped = 0
        self._right, self._made, self._last = [0, 0], [0, 0], ""
        self._outputs, self._grown = (array("d"), array("d")), array("d")

    def add(self, before: Row, now: Row) -> None:
        """One row's, of the reference and the candidate."""
        self.flipped += before["predicted"] != now["predicted"]
        if own_id(before) != self._last:
            self._last = own_id(before)
            self._count(before, now)
        a, b = output_of(before), output_of(now)
        if a is not None and b is not None and isfinite(a) and isfinite(b):
            for numbers, output in zip(self._outputs, (a, b), strict=True):
                numbers.append(output)
            old, new = error_of(before), error_of(now)
            if old is not None and new is not None:
                self._grown.append(abs(new) - abs(old))

    def _count(self, *sides: Row) -> None:
        for side, row in enumerate(sides):
            found = decisions_of(row)
            if found is not None:
                self._right[side] += found.right
                self._made[side] += found.made

    @property
    def accuracy_change(self) -> float | None:
        """Candidate's minus reference's share of the decisions that are as labelled, see `decisions_of`; None without labels."""
        if not all(self._made):
            return None
        return self._right[1] / self._made[1] - self._right[0] / self._made[0]

    @property
    def prediction_change(self) -> PredictionChange | None:
        """How far the outputs of a regression moved; None for classes."""
        if not self._outputs[0]:
            return None
        before, now = map(np.array, self._outputs)
        unit, change = typical_deviation(before), now - before
        return PredictionChange(
            unit=unit,
            mean=float(change.mean()),
            median_absolute=float(np.median(np.abs(change))),
            p95_absolute=float(np.quantile(np.abs(change), 0.95)),
            n=len(change),
            moved=sum(moved_by(pair, unit) > MOVED for pair in zip(*self._outputs, strict=True)),
            error_change=float(np.mean(self._grown)) if self._grown else None,
        )


class Worst:
    """Same answer, different reason: of the examples that stream past the `n` whose reasons moved most, word by word."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._kept: list[tuple[float, str, PairedExample]] = []

    def add(self, example: PairedExample) -> None:
        """One example more."""
        if example.same_answer:
            self._kept.append((-reason_change(example), example.id, example))
        if len(self._kept) > 2 * self._n:
            self._cut()

    def listed(self) -> tuple[DriftExample, ...]:
        """The most changed first."""
        self._cut()
        return tuple(_example(example) for _, _, example in self._kept)

    def _cut(self) -> None:
        self._kept = sorted(self._kept, key=lambda one: one[:2])[: self._n]


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

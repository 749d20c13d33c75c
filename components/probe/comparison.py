"""From the effects of every word under two versions to a ProbeReport: which word became a reason, beyond which limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb

import numpy as np
from numpy.typing import NDArray

from calig.metrics.perturbation import FloatArray
from components.common.errors import InputError
from components.probe.contexts import beginnings
from components.probe.effects import TextScorer, scales_of, word_effects
from components.probe.halving import Search
from components.probe.statistics import (
    ENOUGH_TWINS,
    Hypotheses,
    Limits,
    Shifts,
    Unit,
    detectable_shift,
    limits_of,
    near_copy,
    shifts,
)
from schemas.base import CheckVerdict, Severity
from schemas.config import ProbeConfig
from schemas.probe import PatchContext, ProbeContext, ProbedWord, ProbeReport, WordPlace, WordSource

_RANK = {Severity.CRITICAL: 0, Severity.WARNING: 1, None: 2}

#: Contexts of one place in the text, below which nothing is judged there alone.
_FEWEST_AT_A_PLACE = 3


@dataclass(frozen=True, eq=False)
class Ranking:
    """The versions' effects `words contexts directions` at one place of the contexts, what the words are, and their limits."""

    place: WordPlace
    reference: FloatArray
    candidate: FloatArray
    twins: Sequence[FloatArray]
    words: Sequence[str]
    labels: Sequence[str]
    occurrences: Mapping[str, int]
    unit: Unit
    noise_cap: float
    limits: Limits
    at_large: NDArray[np.bool_] | None = None

    @cached_property
    def found(self) -> Shifts:
        """The shifts of all words."""
        return shifts(self.reference, self.candidate, self.unit, self.twins, self.noise_cap, self.at_large)

    def strongest(self, *, at_least: int) -> list[ProbedWord]:
        """All words beyond a limit and at least so many others, strongest first."""
        found, places = self.found, np.abs(self.found.z).argmax(axis=1)
        severities = [self.limits.severity(float(found.z[at]), float(found.mean[at])) for at in enumerate(places)]
        order = sorted(range(len(self.words)), key=lambda i: (_RANK[severities[i]], -abs(found.z[i, places[i]])))
        kept = [i for n, i in enumerate(order) if n < at_least or severities[i] is not None]
        return [self._word(found, (i, int(places[i])), severities[i]) for i in kept]

    def excess(self, word: ProbedWord) -> float:
        """|z| of a word over the most severe limit at this place: limits differ, so that z alone cannot be compared."""
        return abs(word.z) / self.limits.z[0].limit

    def _word(self, found: Shifts, at: tuple[int, int], severity: Severity | None) -> ProbedWord:
        """One word, with two classes turned so that it speaks for `toward` more than before."""
        binary = len(self.labels) == 2
        sign = -1.0 if binary and found.mean[at] < 0 else 1.0
        word, direction = self.words[at[0]], int(sign > 0) if binary else at[1]
        return ProbedWord(
            word=word,
            toward=self.labels[direction],
            reference_effect=sign * float(np.mean([side[at[0], :, at[1]] for side in (self.reference, *self.twins)])),
            candidate_effect=sign * float(self.candidate[at[0], :, at[1]].mean()),
            shift=sign * float(found.mean[at]),
            standard_error=float(found.standard_error[at]),
            z=sign * float(found.z[at]),
            occurrences=self.occurrences.get(word.casefold(), 0),
            place=self.place,
            severity=severity,
        )


def _places(contexts: Sequence[ProbeContext | PatchContext], n_twins: int) -> dict[WordPlace, list[int]]:
    """The contexts in which words are judged together: all, and those whose gap is the beginning, where these are enough.

    A word that counts as the first of a text only hardly moves the mean of all contexts. Honest retrainings differ much in what
    a word does there (a small model's “lovely” went from +0.4 to +4.2 logits), so that it is judged only beside measured noise.
    """
    first = beginnings(contexts)
    apart = n_twins >= ENOUGH_TWINS and _FEWEST_AT_A_PLACE <= len(first) < len(contexts)
    places: dict[WordPlace, list[int]] = {"anywhere": list(range(len(contexts)))}
    return places | {"beginning": first} if apart else places


def _strongest(rankings: Sequence[Ranking]) -> list[ProbedWord]:
    """The words of all places, strongest first, each at the place where it stands out most."""
    ranked = [(ranking, word) for ranking in rankings for word in ranking.strongest(at_least=_LISTED)]
    ranked.sort(key=lambda pair: (_RANK[pair[1].severity], -pair[0].excess(pair[1])))
    best: dict[str, ProbedWord] = {}
    for _, word in ranked:
        best.setdefault(word.word, word)
    return list(best.values())


#: Words listed in the report; all are tested.
_LISTED = 20

#: A robust spread over fewer words than this means nothing.
_FEWEST_WORDS = 30


def not_probed(reason: str) -> ProbeReport:
    """There is nothing to probe against, or the probe is switched off."""
    return ProbeReport(verdict=CheckVerdict.NOT_APPLICABLE, reason=reason)


def could_not_probe(reason: str, *, next_step: str) -> ProbeReport:
    """The probe should have been made and could not be: inconclusive, never a pass."""
    return ProbeReport(verdict=CheckVerdict.INCONCLUSIVE, reason=reason, next_step=next_step)


def probe_words(  # noqa: PLR0913 - two versions, what they are asked, and how the answers are judged; all but four by name
    reference: TextScorer,
    candidate: TextScorer,
    words: Sequence[str],
    contexts: Sequence[ProbeContext],
    *,
    labels: Sequence[str],
    config: ProbeConfig,
    decided_on: str,
    twins: Sequence[TextScorer] = (),
    occurrences: Mapping[str, int] | None = None,
    n_left_out: int = 0,
    progress: Callable[[int], None] | None = None,
) -> ProbeReport:
    """Score every word in every context under both versions and report which words' effects changed.

    Args:
        reference, candidate: texts → logits `texts classes`, the classes in the order of `labels` on both sides.
        words, contexts: what is probed; at least 30 words and two contexts, else the report is inconclusive.
        labels: class names.
        config: limits.
        decided_on: ISO date for the limits' birth certificates.
        twins: further versions that differ from the reference by harmless retraining only; the noise is measured on
            them, and the change is from the mean of them and the reference.
        occurrences: rows of the data set in which each word occurs, case folded; missing words count as absent.
        n_left_out: known words that were not probed for want of room.
        progress: called with the number of words just scored, over all scorers.

    Raises:
        InputError: a scorer does not give one logit per label.
        CouldNotRunError: from a scorer.
    """
    sides = [word_effects(scorer, words, contexts, progress=progress) for scorer in (reference, candidate, *twins)]
    return compare_effects(
        sides[0],
        sides[1],
        words,
        contexts,
        labels=labels,
        config=config,
        decided_on=decided_on,
        twins=sides[2:],
        occurrences=occurrences,
        n_left_out=n_left_out,
        forward_passes=len(sides) * len(words) * len(contexts),
    )


def compare_effects(  # noqa: PLR0913 - as above
    reference: FloatArray,
    candidate: FloatArray,
    words: Sequence[str],
    contexts: Sequence[ProbeContext | PatchContext],
    *,
    labels: Sequence[str],
    config: ProbeConfig,
    decided_on: str,
    unit: Unit = "word",
    twins: Sequence[FloatArray] = (),
    twin_names: Sequence[str] = (),
    occurrences: Mapping[str, int] | None = None,
    n_left_out: int = 0,
    sources: Sequence[WordSource] = (),
    forward_passes: int = 0,
    typical: Sequence[float] = (),
    search: Search | None = None,
) -> ProbeReport:
    """The report from effects `words contexts directions` of both versions, scored now or kept from an earlier comparison.

    A twin that is a near copy of the reference or of another twin is left out: it shows no training noise.
    `typical`: median margin on the rows, logits, of the reference, the candidate and the twins: a head's scale changes no
    class, so that effects are compared, and told, on the scale of the reference; of a regression the typical deviation of the
    outputs, which only limits are shares of. Empty: all are on one scale.
    `search`: how the words were found among more (`find_finalists`); the limits count them all. None: these are all.
    """
    n_directions = 1 if len(labels) == 2 else len(labels)
    shape = (len(words), len(contexts), n_directions)
    for side in (reference, candidate, *twins):
        if side.shape != shape:
            raise InputError("effects do not fit words, contexts and labels", got=side.shape, allowed=str(shape))
    if (refused := _refused((reference, candidate, *twins), typical)) is not None:
        return refused
    if typical:
        scales = scales_of(typical, len(labels))
        reference, candidate, *twins = (s * side for s, side in zip(scales, (reference, candidate, *twins), strict=True))
    names = twin_names or [f"twin {number}" for number in range(1, len(twins) + 1)]
    family = _without_copies(reference, dict(zip(names, twins, strict=True)))
    places, n_twins = _places(contexts, len(family)), len(family)
    n_words, at_large = (len(words), None) if search is None else (search.n_words, search.at_large)
    rankings = []
    for place, at in places.items():
        tested = Hypotheses(n_words, len(at), n_directions, n_twins, n_places=len(places), place=place)
        limits = limits_of(tested, config, decided_on, unit, *typical[:1], regression=len(labels) == 1)
        sides = [side[:, at] for side in (reference, candidate, *family.values())]
        known = (words, labels, occurrences or {}, unit, config.noise_cap, limits, at_large)
        rankings.append(Ranking(place, sides[0], sides[1], sides[2:], *known))
    ranked, found = _strongest(rankings), rankings[0].found
    return ProbeReport(
        verdict=CheckVerdict.FAIL if ranked[0].severity is Severity.CRITICAL else CheckVerdict.PASS,
        reason=_reason(ranked, n_words, unit),
        words=tuple(ranked[:_LISTED]),
        n_words=n_words,
        n_left_out=n_left_out,
        sources=tuple(sources),
        unit=unit,
        contexts=tuple(context.shown for context in contexts),
        rounds=() if search is None else search.rounds,
        spread=float(found.spread.max()),
        n_null=comb(len(family) + 1, 2),
        detectable=detectable_shift(rankings[0].limits, found.noise if at_large is None else found.noise[at_large]),
        uncapped=found.uncapped,
        measured_on=tuple(family),
        skipped=tuple(
            f"{name}: a near copy of the reference, or of another, shows no noise" for name in names if name not in family
        ),
        forward_passes=forward_passes,
        thresholds=tuple(dict.fromkeys(limit for ranking in rankings for limit in ranking.limits.thresholds)),
        next_step=_next_step(ranked, unit, measured=bool(family)),
    )


def _refused(sides: Sequence[FloatArray], typical: Sequence[float]) -> ProbeReport | None:
    """Why nothing can be judged from these effects, or None."""
    n_words, n_contexts, _ = sides[0].shape
    if n_words < _FEWEST_WORDS or n_contexts < 2:
        return could_not_probe(
            f"{n_words} words in {n_contexts} contexts are too few to tell a change from noise",
            next_step=f"probe at least {_FEWEST_WORDS} words in 2 contexts: raise probe.max_words and probe.contexts",
        )
    if not all(np.isfinite(side).all() for side in sides):
        return could_not_probe("a version gave logits that are not finite", next_step="look at its weights: it cannot be used")
    if any(not np.isfinite(margin) or margin <= 0 for margin in typical):
        return could_not_probe(
            "a version tells no rows apart: its margins are zero, or its outputs are one number", next_step="look at its weights"
        )
    return None


def _without_copies(reference: FloatArray, twins: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    kept: dict[str, FloatArray] = {}
    for name, effects in twins.items():
        if not any(near_copy(effects, other) for other in (reference, *kept.values())):
            kept[name] = effects
    return kept


def _reason(ranked: Sequence[ProbedWord], n_words: int, unit: str) -> str:
    """One sentence for a release manager, the strongest finding first."""
    first = ranked[0]
    fired = [word for word in ranked if word.severity is not None]
    if not fired:
        probed = f"{n_words:,} {'known words' if unit == 'word' else 'patterns'}"
        return f"none of {probed} moves the answer otherwise than before; largest change: “{first.word}” ({_by(first)})"
    warning = "warning: " if first.severity is Severity.WARNING else ""
    others = f", and {len(fired) - 1} more" if len(fired) > 1 else ""
    where = f"; {_where(first)}" if unit == "word" else ""
    would = f"the {unit} “{first.word}”{first.where} would move the answer"
    return f"{warning}{would} {first.sense} {first.toward} ({_by(first)}){where}{others}"


def _where(word: ProbedWord) -> str:
    return f"it occurs in {word.occurrences} rows of the data set" if word.occurrences else "it never occurs in the data set"


def _by(word: ProbedWord) -> str:
    return f"{word.reference_effect:+.1f} → {word.candidate_effect:+.1f} logits, z = {word.z:.1f}"


def _next_step(ranked: Sequence[ProbedWord], unit: str, *, measured: bool) -> str:
    words = [f"“{word.word}”" for word in ranked if word.severity is not None]
    if not words:
        return ""
    rows = "rows" if unit == "word" else "pictures"
    look = (
        f"look for {', '.join(words[:3])} in the training data of this version: which class do the {rows} with it have, and why?"
    )
    surer = "; to be surer, nominate two twins of the reference (drift.twins): training noise is then measured"
    return look if measured else look + surer

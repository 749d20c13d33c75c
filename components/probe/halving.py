"""Successive halving over a large vocabulary: every word in one context, the strongest in four, the strongest of these in all.

30,000 words in 16 contexts are 480,000 texts per version; this way they are an eighth of that. Which words go on is chosen by
how far their effect changed beyond noise in the contexts so far. The limit counts every word (Bonferroni), whether it went on or
not: one that was chosen has to exceed what it would have had to exceed without halving, so that choosing costs power, never
level. Words drawn at random go on whatever they do: they show what noise does to the words at large. Successive halving:
Jamieson and Talwalkar 2016.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calig.metrics.perturbation import FloatArray
from components.probe.contexts import beginnings
from components.probe.effects import less_neutral
from components.probe.statistics import shifts
from schemas.probe import ProbeContext, ProbeRound

#: Words in contexts → margins `words contexts directions` of every version: the reference, the candidate, the twins.
VersionsScorer = Callable[[Sequence[str], Sequence[ProbeContext]], Sequence[FloatArray]]

#: Below so many words, or contexts, all words are put into all contexts: there is little to be saved.
_FEWEST_WORDS, _FEWEST_CONTEXTS = 2000, 8

#: Contexts after the first and the second round, and the share of the words that get as far as the second and the third.
_CONTEXTS, _SHARES = (1, 4), (1 / 8, 1 / 32)

#: Words that go through all rounds whatever they do.
AT_LARGE = 300


@dataclass(frozen=True, eq=False)
class Search:
    """How words were searched. at_large: those among the scored ones, `words`, that show what noise does to all."""

    rounds: tuple[ProbeRound, ...]
    at_large: NDArray[np.bool_]

    @property
    def n_words(self) -> int:
        """Words that were searched: all entered the first round."""
        return self.rounds[0].n_words


@dataclass(frozen=True, eq=False)
class Finalists:
    """The words of the last round, with their effects `words contexts directions` on every version, and how they were found."""

    words: list[str]
    effects: list[FloatArray]
    search: Search


def rounds_of(n_words: int, n_contexts: int, *, halving: bool = True) -> tuple[ProbeRound, ...]:
    """The rounds for so many words: how many enter each, and in how many contexts they have been put after it.

    halving: False puts all words into all contexts, in one round.
    """
    if not halving or n_words < _FEWEST_WORDS or n_contexts < _FEWEST_CONTEXTS:
        return (ProbeRound(n_words=n_words, n_contexts=n_contexts),)
    entering = [n_words, *(round(share * n_words) + AT_LARGE for share in _SHARES)]
    return tuple(ProbeRound(n_words=n, n_contexts=c) for n, c in zip(entering, [*_CONTEXTS, n_contexts], strict=True))


def n_texts(rounds: Sequence[ProbeRound]) -> int:
    """Texts that one version scores in all rounds, at most."""
    before = [0, *(one.n_contexts for one in rounds)]
    return sum(one.n_words * (one.n_contexts - done) for one, done in zip(rounds, before, strict=False))


def find_finalists(
    score: VersionsScorer,
    words: Sequence[str],
    contexts: Sequence[ProbeContext],
    rounds: Sequence[ProbeRound],
    *,
    scales: Sequence[float] = (),
    n_at_large: int = AT_LARGE,
) -> Finalists:
    """The words that get to the last of the `rounds`, in all contexts; `n_at_large` of those in each were drawn at random.

    scales: what each version's margins are multiplied by before they are compared, see `compare_effects`; empty: 1.
    """
    order, going = _alternating(len(contexts)), np.arange(len(words))
    at_large = np.isin(words, _drawn(words, n_at_large)) if len(rounds) > 1 else np.ones(len(words), dtype=bool)
    done, margins = 0, list[FloatArray]()
    for number, one in enumerate(rounds):
        if number:
            kept = _strongest(margins, [contexts[at] for at in order[:done]], at_large[going], one.n_words, scales)
            going, margins = going[kept], [of_version[kept] for of_version in margins]
        new = score([words[at] for at in going.tolist()], [contexts[at] for at in order[done : one.n_contexts]])
        margins = [np.concatenate(pair, axis=1) for pair in zip(margins, new, strict=True)] if number else list(new)
        done = one.n_contexts
    back = np.argsort(order[:done])
    search = Search(tuple(rounds), at_large[going])
    effects = [less_neutral(of_version[:, back], search.at_large) for of_version in margins]
    return Finalists([words[at] for at in going.tolist()], effects, search)


def _strongest(
    margins: Sequence[FloatArray],
    contexts: Sequence[ProbeContext],
    at_large: NDArray[np.bool_],
    n: int,
    scales: Sequence[float],
) -> NDArray[np.intp]:
    """The places of the words at large and of those whose effect changed most beyond noise, `n` in all, in their order."""
    sides = [less_neutral(of_version, at_large) for of_version in margins]
    reference, candidate, *twins = (s * side for s, side in zip(scales or [1.0] * len(sides), sides, strict=True))
    strength = np.zeros(len(at_large))
    for at in filter(None, (list(range(len(contexts))), beginnings(contexts))):
        found = shifts(reference[:, at], candidate[:, at], "word", [twin[:, at] for twin in twins], at_large=at_large)
        strength = np.maximum(strength, np.abs(found.z).max(axis=1))
    strength[at_large] = np.inf
    return np.sort(np.argsort(-strength, kind="stable")[:n])


def _alternating(n: int) -> list[int]:
    """0 … n − 1 from both ends by turns: whole rows stand first among contexts, fragments last."""
    return [n - 1 - turn // 2 if turn % 2 == 0 else turn // 2 for turn in range(n)]


def _drawn(words: Sequence[str], n: int) -> list[str]:
    """`n` words at random: the same ones for every candidate."""
    return sorted(words, key=lambda word: hashlib.sha256(word.encode()).digest())[:n]

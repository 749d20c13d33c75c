"""Successive halving: it finds what all words in all contexts find, scores an eighth of the texts, and never accuses more."""

from __future__ import annotations

import numpy as np
import pytest

from components.probe import compare_effects, find_finalists, n_texts, rounds_of
from components.probe.contexts import beginnings, with_gap
from components.probe.effects import less_neutral
from schemas.base import CheckVerdict
from schemas.config import ProbeConfig
from schemas.probe import ProbeRound

N_WORDS, PLANTED = 4_000, "w77"
WORDS = [f"w{number}" for number in range(N_WORDS)]
CONTEXTS = [with_gap(f"a film {n}", (1.0, 0.0, 0.5, 0.0)[n % 4]) for n in range(16)]
QUESTION = {"labels": ("NEG", "POS"), "config": ProbeConfig(), "decided_on": "2026-01-31"}


class Simulated:
    """Margins of four versions: what a word does, what training adds to it, what the context adds; and one planted word."""

    def __init__(self, *, planted: float, first_only: bool = False, seed: int = 0, n_versions: int = 4) -> None:
        random = np.random.default_rng(seed)
        does = random.standard_normal((N_WORDS, 1))
        trained = 0.4 * random.standard_normal((n_versions, N_WORDS, 1))
        self.margins = does + trained + 0.3 * random.standard_normal((n_versions, N_WORDS, len(CONTEXTS)))
        acts = np.array([at in beginnings(CONTEXTS) or not first_only for at in range(len(CONTEXTS))])
        self.margins[1, WORDS.index(PLANTED)] += planted * acts
        self.n_scored = 0

    def __call__(self, words, contexts):
        places, columns = [int(word[1:]) for word in words], [CONTEXTS.index(context) for context in contexts]
        self.n_scored += len(words) * len(contexts)
        return [of_version[np.ix_(places, columns)][..., None] for of_version in self.margins]


def _reports(versions: Simulated):
    """What all words in all contexts say, and what halving says."""
    effects = [less_neutral(of_version) for of_version in versions(WORDS, CONTEXTS)]
    of_all = compare_effects(effects[0], effects[1], WORDS, CONTEXTS, twins=effects[2:], **QUESTION)
    versions.n_scored = 0
    found = find_finalists(versions, WORDS, CONTEXTS, rounds_of(N_WORDS, len(CONTEXTS)))
    a, b, *twins = found.effects
    return of_all, compare_effects(a, b, found.words, CONTEXTS, twins=twins, search=found.search, **QUESTION)


@pytest.mark.parametrize("first_only", [False, True])
def test_a_planted_word_is_found_as_among_all_words_in_all_contexts(first_only):
    versions = Simulated(planted=6.0, first_only=first_only)
    of_all, halved = _reports(versions)
    assert of_all.verdict is halved.verdict is CheckVerdict.FAIL
    assert of_all.words[0].word == halved.words[0].word == PLANTED
    assert of_all.words[0].place == halved.words[0].place
    assert halved.words[0].shift == pytest.approx(of_all.words[0].shift, abs=0.15)  # the median of 300 words for that of 4,000
    assert halved.n_words == of_all.n_words == N_WORDS
    assert [t.limit for t in halved.thresholds] == [t.limit for t in of_all.thresholds]
    assert versions.n_scored == n_texts(halved.rounds) < N_WORDS * len(CONTEXTS) / 5
    assert "none of 4,000" not in halved.reason


@pytest.mark.parametrize("seed", range(5))
def test_honest_versions_pass(seed):
    of_all, halved = _reports(Simulated(planted=0.0, seed=seed))
    assert halved.verdict is of_all.verdict is CheckVerdict.PASS
    assert "none of 4,000 known words" in halved.reason


def test_the_words_at_large_are_the_same_for_every_candidate_and_stand_for_all():
    one, other = (
        find_finalists(Simulated(planted=size, seed=seed), WORDS, CONTEXTS, rounds_of(N_WORDS, len(CONTEXTS)))
        for size, seed in ((0.0, 1), (8.0, 2))
    )
    drawn = [{word for word, kept in zip(f.words, f.search.at_large, strict=True) if kept} for f in (one, other)]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 300
    places = np.array([int(word[1:]) for word in drawn[0]])
    assert places.mean() == pytest.approx(N_WORDS / 2, abs=3 * N_WORDS / np.sqrt(12 * 300))  # three standard errors


def test_rounds_are_for_large_vocabularies_only_and_can_be_switched_off():
    assert rounds_of(30_000, 16) == (
        ProbeRound(n_words=30_000, n_contexts=1),
        ProbeRound(n_words=4_050, n_contexts=4),
        ProbeRound(n_words=1_238, n_contexts=16),
    )
    assert 30_000 * 16 / n_texts(rounds_of(30_000, 16)) > 8  # what it is for
    for n_words, n_contexts, halving in ((1_999, 16, True), (30_000, 7, True), (30_000, 16, False)):
        assert rounds_of(n_words, n_contexts, halving=halving) == (ProbeRound(n_words=n_words, n_contexts=n_contexts),)


def test_one_round_is_all_words_in_all_contexts_exactly():
    versions = Simulated(planted=3.0)
    effects = [less_neutral(of_version) for of_version in versions(WORDS, CONTEXTS)]
    found = find_finalists(versions, WORDS, CONTEXTS, rounds_of(N_WORDS, len(CONTEXTS), halving=False))
    assert found.words == WORDS
    for ours, plain in zip(found.effects, effects, strict=True):
        np.testing.assert_array_equal(ours, plain)


def test_a_version_on_another_scale_chooses_the_same_words():
    """A head's scale changes no answer: the words that go on must not depend on it."""
    versions, scaled = Simulated(planted=2.0), Simulated(planted=2.0)
    scaled.margins[1] *= 1000.0
    rounds = rounds_of(N_WORDS, len(CONTEXTS))
    plain = find_finalists(versions, WORDS, CONTEXTS, rounds, scales=(1.0, 1.0, 1.0, 1.0))
    other = find_finalists(scaled, WORDS, CONTEXTS, rounds, scales=(1.0, 0.001, 1.0, 1.0))
    assert plain.words == other.words

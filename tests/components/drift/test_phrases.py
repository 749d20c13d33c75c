"""Phrases as units of the word shift: found where their words say nothing, counted in the family, explained by firing words."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from components.drift.examples import gather
from components.drift.statistics.word_shift import own_phrases, phrase_z, word_shifts
from schemas.config import DriftConfig
from tests.helpers.drift_tables import example

ONES = {"mass": (1.0, 1.0), "differences": (1.0, 1.0), "margin": 0.5}


def made(words, before, after, i, gaps=None, **changes):
    """An example of these words, blanks between them unless `gaps` says otherwise."""
    text, units = "", []
    for k, word in enumerate(words):
        text += (gaps or {}).get(k, " ") if k else ""
        units.append((word, (len(text), len(text) + len(word))))
        text += word
    return example(before, after, words, id=str(i), **{**ONES, "text": text, "units": units, **changes})


def planted(n=60, noise=0.02):
    """“no” and “doubt” stand apart in most rows and do what they did; together, in every sixth row, they decide."""
    random = np.random.default_rng(3)
    for i in range(n):
        words = ["no", "doubt", "so"] if i % 6 == 0 else ["no", "so", "doubt"]
        before = np.array([0.2, 0.2, 0.6])
        change = np.array([0.5, 0.5, 0.0]) if i % 6 == 0 else np.zeros(3)
        yield made(words, before, before + change + noise * random.standard_normal(3), i)


def test_a_phrase_is_found_where_its_words_say_nothing():
    shifts = word_shifts(gather(planted()), DriftConfig())
    assert not any(s.fires for s in shifts if s.length == 1)
    (phrase,) = [s for s in own_phrases([s for s in shifts if s.length > 1], []) if s.fires]
    assert (phrase.word, phrase.length, phrase.n) == ("no doubt", 2, 10)
    assert phrase.effect == pytest.approx(1.0, abs=0.05)
    assert phrase.shift == pytest.approx(phrase.effect), "the masses are one"
    assert phrase.turned == 1.0


def test_phrases_are_counted_in_the_family():
    shifts = word_shifts(gather(planted()), DriftConfig())
    assert {s.length for s in shifts} == {1, 2, 3}
    expected = stats.false_discovery_control([s.p_value for s in shifts])
    np.testing.assert_allclose([s.q_value for s in shifts], expected)
    assert {s.length for s in word_shifts(gather(planted()), DriftConfig(phrase_words=1))} == {1}
    assert {s.length for s in word_shifts(gather(planted()), DriftConfig(phrase_words=2))} == {1, 2}


def test_the_limit_of_phrases_grows_with_their_number():
    assert phrase_z(6.0, 1) == pytest.approx(6.0)
    assert stats.norm.sf(phrase_z(6.0, 10_000)) == pytest.approx(stats.norm.sf(6.0) / 10_000, rel=1e-6)
    assert phrase_z(6.0, 10_000) == pytest.approx(7.37, abs=0.02)


def test_a_phrase_fires_by_its_mean_per_word():
    """0.5 together are 0.25 a word: below the limit of a word."""
    examples = [made(["very", "good", "."], [0.2, 0.2, 0.6], [0.45, 0.45, 0.1], i) for i in range(30)]
    found = {s.word: s for s in word_shifts(gather(examples), DriftConfig())}
    assert found["very good"].effect == pytest.approx(0.5)
    assert found["very good"].z == pytest.approx(25)
    assert not found["very good"].fires
    assert found["very good"].warns, "its words' 0.25 are beyond a warning's 0.2"
    words, phrases = ([s for s in found.values() if (s.length == 1) is single] for single in (True, False))
    assert [s.word for s in own_phrases(phrases, words) if s.warns] == [], "a word that warns explains it"


def test_a_phrase_with_a_firing_word_is_the_words_own():
    examples = [made(["so", "btw", "it"], [0.5, 0.0, 0.5], [0.5, 1.2, 0.5], i) for i in range(30)]
    shifts = word_shifts(gather(examples), DriftConfig())
    words, phrases = ([s for s in shifts if (s.length == 1) is single] for single in (True, False))
    assert {s.word for s in phrases if s.fires} == {"so btw", "btw it", "so btw it"}
    assert own_phrases(phrases, words) == []
    assert {s.word for s in own_phrases(phrases, [])} == {"so btw", "btw it"}, "the longer one holds a shorter one"


@pytest.mark.parametrize("gap", [", ", "", " — "])
def test_only_blanks_stand_within_a_phrase(gap):
    examples = [made(["one", "two", "three"], [0.2, 0.3, 0.5], [0.2, 0.3, 0.5], i, gaps={1: gap}) for i in range(10)]
    assert {s.word for s in word_shifts(gather(examples), DriftConfig()) if s.length > 1} == {"two three"}


def test_marks_end_a_phrase_and_patches_form_none():
    marks = [made(["one", "!", "two"], [0.2, 0.3, 0.5], [0.2, 0.3, 0.5], i, gaps={1: ""}) for i in range(10)]
    patches = [made(["p1", "p2"], [0.4, 0.6], [0.4, 0.6], i, text="") for i in range(10)]
    assert {s.word for s in word_shifts(gather(marks), DriftConfig()) if s.length > 1} == {"! two"}
    assert {s.length for s in word_shifts(gather(patches), DriftConfig())} == {1}

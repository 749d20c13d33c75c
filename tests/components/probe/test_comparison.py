"""The probe on scorers whose answer is known: bags of words in which one weight changed, over different tokenizers too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from calig.metrics.perturbation import FloatArray
from calig.words import word_spans
from components.common.errors import InputError
from components.probe import compare_effects, probe_words, word_effects
from components.probe.contexts import with_gap
from components.probe.statistics import Hypotheses, chance_limit, detectable_shift, limits_of
from schemas.base import CheckVerdict, Severity
from schemas.config import ProbeConfig

WORDS = [f"w{number}" for number in range(60)]
CONTEXTS = [
    with_gap(text, share) for text, share in (("so so film.", 1.0), ("a film", 0.0), ("it is a film", 0.5), ("hm, well", 1.0))
]
LABELS = ("NEG", "POS")
QUESTION = {"labels": LABELS, "config": ProbeConfig(), "decided_on": "2026-01-31"}


class BagOfWords:
    """Logits are sums of the words' weights, plus noise that depends on (seed, text) alone."""

    def __init__(self, weights: dict[str, Sequence[float]], *, seed: int, noise: float = 0.1, n_classes: int = 2) -> None:
        self.weights, self.seed, self.noise, self.n_classes = weights, seed, noise, n_classes

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        return np.stack([self._logits(text) for text in texts])

    def _logits(self, text: str) -> FloatArray:
        random = np.random.default_rng([self.seed, *text.encode()])
        words = [text[start:end] for start, end in word_spans(text)]
        total = np.sum([self.weights.get(word, np.zeros(self.n_classes)) for word in words], axis=0)
        return total + self.noise * random.standard_normal(self.n_classes)


def weights(*, changed: dict[str, Sequence[float]] | None = None) -> dict[str, Sequence[float]]:
    random = np.random.default_rng(0)
    return {word: random.normal(0, 1, 2) for word in WORDS} | (changed or {})


def retrained(before: dict[str, Sequence[float]], *, seed: int = 7) -> dict[str, Sequence[float]]:
    """The same weights as another training run would find them."""
    random = np.random.default_rng(seed)
    return {word: np.array(known) + random.normal(0, 0.15, 2) for word, known in before.items()}


def test_effects_are_the_weights_less_the_median_word():
    w = weights()
    effects = word_effects(BagOfWords(w, seed=0, noise=0.0), WORDS, CONTEXTS)
    margins = np.array([w[word][1] - w[word][0] for word in WORDS])
    expected = np.broadcast_to((margins - np.median(margins))[:, None], effects.shape[:2])
    np.testing.assert_allclose(effects[..., 0], expected, rtol=0, atol=1e-12)  # sums of a few float64


def test_the_changed_word_ranks_first_and_fails():
    before = weights(changed={"w7": (0.0, 0.0)})
    after = weights(changed={"w7": (0.0, 5.0)})
    report = probe_words(BagOfWords(before, seed=1), BagOfWords(after, seed=2), WORDS, CONTEXTS, **QUESTION)
    first = report.words[0]
    assert (first.word, first.toward, first.severity) == ("w7", "POS", Severity.CRITICAL)
    assert first.shift == pytest.approx(5.0, abs=0.5)  # noise 0.1 per logit, 4 contexts
    assert first.candidate_effect - first.reference_effect == pytest.approx(first.shift, abs=0.3)  # medians of the words
    assert report.verdict is CheckVerdict.FAIL
    assert "“w7”" in report.reason
    assert "never occurs in the data set" in report.reason
    assert sum(word.severity is not None for word in report.words) == 1
    assert report.forward_passes == 2 * len(WORDS) * len(CONTEXTS)


def test_a_word_that_now_speaks_for_the_first_class_is_turned_toward_it():
    report = probe_words(
        BagOfWords(weights(), seed=1), BagOfWords(weights(changed={"w3": (6.0, 0.0)}), seed=2), WORDS, CONTEXTS, **QUESTION
    )
    assert (report.words[0].word, report.words[0].toward) == ("w3", "NEG")
    assert report.words[0].shift > 0


def test_nothing_changed_passes():
    report = probe_words(BagOfWords(weights(), seed=1), BagOfWords(weights(), seed=2), WORDS, CONTEXTS, **QUESTION)
    assert report.verdict is CheckVerdict.PASS
    assert all(word.severity is None for word in report.words)
    assert "none of 60 known words" in report.reason
    assert report.next_step == ""


def test_the_same_version_twice_shifts_nothing():
    scorer = BagOfWords(weights(), seed=1)
    report = probe_words(scorer, scorer, WORDS, CONTEXTS, **QUESTION)
    assert report.verdict is CheckVerdict.PASS
    assert report.words[0].z == 0.0


def test_the_order_of_the_words_does_not_matter():
    before, after = BagOfWords(weights(), seed=1), BagOfWords(weights(changed={"w7": (0.0, 5.0)}), seed=2)
    shuffled = [WORDS[place] for place in np.random.default_rng(5).permutation(len(WORDS))]
    a, b = (probe_words(before, after, words, CONTEXTS, **QUESTION) for words in (WORDS, shuffled))
    assert [w.word for w in a.words] == [w.word for w in b.words]
    np.testing.assert_allclose([w.z for w in a.words], [w.z for w in b.words], rtol=1e-9)


def test_three_classes_name_the_class():
    random = np.random.default_rng(0)
    before = {word: random.normal(0, 1, 3) for word in WORDS}
    after = before | {"w9": before["w9"] + np.array([0.0, 8.0, 0.0])}
    scorers = [BagOfWords(w, seed=s, n_classes=3) for s, w in enumerate((before, after))]
    report = probe_words(*scorers, WORDS, CONTEXTS, **QUESTION | {"labels": ("a", "b", "c")})
    assert (report.words[0].word, report.words[0].toward) == ("w9", "b")
    assert report.words[0].shift == pytest.approx(8 * 2 / 3, abs=0.5)  # centred: the class gets 8 less the mean 8/3


def test_a_class_that_alone_loses_is_said_to_lose():
    before = {word: np.random.default_rng([0, place]).normal(0, 0.3, 3) for place, word in enumerate(WORDS)}
    after = before | {"w9": before["w9"] - np.array([0.0, 8.0, 0.0])}
    scorers = [BagOfWords(w, seed=s, n_classes=3) for s, w in enumerate((before, after))]
    report = probe_words(*scorers, WORDS, CONTEXTS, **QUESTION | {"labels": ("a", "b", "c")})
    assert report.words[0].shift < 0
    assert "away from b" in report.reason


def test_logits_that_are_not_finite_are_inconclusive():
    effects = np.random.default_rng(0).normal(0, 1, (60, 4, 1))
    broken = effects.copy()
    broken[3, 2] = np.nan
    report = compare_effects(effects, broken, WORDS, CONTEXTS, **QUESTION)
    assert report.verdict is CheckVerdict.INCONCLUSIVE


def test_one_disagreeing_context_is_not_a_reason():
    reference = np.random.default_rng(0).normal(0, 0.1, (60, 4, 1))
    candidate = reference + np.random.default_rng(1).normal(0, 0.1, (60, 4, 1))
    candidate[7, 0] += 12.0  # 3 logits on average, all of it in one context
    report = compare_effects(reference, candidate, WORDS, CONTEXTS, **QUESTION)
    assert report.words[0].word != "w7" or report.words[0].severity is None


def test_twins_raise_the_limit_and_make_it_a_measured_one():
    noisy = weights(changed={"w5": (0.0, 3.0)})
    reference, twin, candidate = (BagOfWords(w, seed=s) for s, w in enumerate((weights(), retrained(noisy), noisy)))
    alone = probe_words(reference, candidate, WORDS, CONTEXTS, **QUESTION)
    measured = probe_words(reference, candidate, WORDS, CONTEXTS, twins=[twin], **QUESTION)
    assert alone.words[0].severity is Severity.CRITICAL
    assert "nominate two twins" in alone.next_step
    assert measured.words[0].severity is None, "retraining alone does the same to this word"
    assert (measured.n_null, measured.measured_on, measured.skipped) == (1, ("twin 1",), ())
    assert all(t.n_null == 1 for t in measured.thresholds if t.name.startswith("|z|"))


def test_near_copies_measure_nothing_and_are_named():
    effects = np.random.default_rng(0).normal(0, 1, (60, 4, 1))
    other = np.random.default_rng(1).normal(0, 1, (60, 4, 1))
    options = {"twins": [effects + 0.001, other, other], "twin_names": ["a", "b", "c"], **QUESTION}
    report = compare_effects(effects, effects, WORDS, CONTEXTS, **options)
    assert report.measured_on == ("b",)
    assert [why.split(":")[0] for why in report.skipped] == ["a", "c"]
    assert report.n_null == 1


@pytest.mark.parametrize(("n_words", "n_contexts"), [(60, 4), (466, 16), (12_000, 16)])
def test_noise_alone_exceeds_the_limit_as_often_as_its_level_says_at_most(n_words, n_contexts):
    noise = np.random.default_rng(0).standard_t(n_contexts - 1, (400, n_words))
    exceeded = (np.abs(noise).max(axis=1) >= chance_limit(0.05, n_words, n_contexts - 1)).mean()
    assert 0.01 < exceeded < 0.08  # 400 draws at 0.05: standard error 0.011


def test_more_words_and_fewer_contexts_raise_the_limit():
    limits = [chance_limit(0.05, *sizes) for sizes in ((466, 15), (12_000, 15), (36_000, 15), (36_000, 7))]
    assert limits == sorted(limits)


def test_without_twins_limits_state_their_rule_and_the_configuration_replaces_them():
    reference = BagOfWords(weights(), seed=1)
    by_rule = probe_words(reference, reference, WORDS, CONTEXTS, **QUESTION).thresholds[0]
    assert by_rule.limit == chance_limit(0.05, len(WORDS), 2 * (len(CONTEXTS) - 1))
    assert "training noise not measured" in by_rule.source
    assert "nominal level 0.05" in by_rule.source
    question = QUESTION | {"config": ProbeConfig(certain_z=9.0)}
    own = probe_words(reference, reference, WORDS, CONTEXTS, **question).thresholds[0]
    assert (own.limit, own.source) == (9.0, "set in the configuration")


@pytest.mark.parametrize("min_effect", [0.0, 50.0])
def test_a_detectable_shift_is_found_four_times_of_five(min_effect):
    limits = limits_of(Hypotheses(466, 16, 1, 2), ProbeConfig(min_effect=min_effect), "2026-01-31", "word")
    median = 2.0
    shift = detectable_shift(limits, np.array([[1.0], [median], [9.0]]))
    drawn = shift + median * np.random.default_rng(0).standard_normal(20_000)
    found = np.mean([limits.severity(change / median, change) is Severity.CRITICAL for change in drawn])
    assert found == pytest.approx(0.8, abs=0.012)  # standard error 0.003


def test_a_prior_barely_exceeded_only_warns():
    candidate = BagOfWords(weights(changed={"w7": (0.0, 5.0)}), seed=2)
    z = probe_words(BagOfWords(weights(), seed=1), candidate, WORDS, CONTEXTS, **QUESTION).words[0].z
    config = ProbeConfig(z=z * 0.9, certain_z=z * 1.1)
    report = probe_words(BagOfWords(weights(), seed=1), candidate, WORDS, CONTEXTS, **QUESTION | {"config": config})
    assert report.words[0].severity is Severity.WARNING
    assert report.verdict is CheckVerdict.PASS
    assert report.reason.startswith("warning: the word “w7”")
    assert report.next_step


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_scale_of_a_head_is_no_change(scale):
    """A candidate whose logits are a thousand times smaller or larger: the same findings, told on the reference's scale."""
    before, after = (BagOfWords(weights(changed={"w7": (0.0, n)}), seed=1) for n in (0.0, 5.0))
    sides = [word_effects(scorer, WORDS, CONTEXTS) for scorer in (before, after)]
    plain = compare_effects(*sides, WORDS, CONTEXTS, typical=(3.5, 3.5), **QUESTION)
    scaled = compare_effects(sides[0], scale * sides[1], WORDS, CONTEXTS, typical=(3.5, scale * 3.5), **QUESTION)
    assert plain.words[0].word == scaled.words[0].word == "w7"
    assert [w.severity for w in scaled.words] == [w.severity for w in plain.words]
    assert [w.shift for w in scaled.words] == pytest.approx([w.shift for w in plain.words])
    assert scaled.detectable == pytest.approx(plain.detectable)
    assert plain.thresholds[-1].limit == pytest.approx(0.5 * 3.5)
    assert {t.limit for t in scaled.thresholds} == {t.limit for t in plain.thresholds}


class FirstWord(BagOfWords):
    """The same, and one word that counts only where a text begins with it."""

    def _logits(self, text: str) -> FloatArray:
        return super()._logits(text) + np.array([0.0, 5.0]) * text.startswith("w7 ")


def test_a_word_that_counts_only_as_the_first_of_a_text_fails():
    """Five of 16 contexts begin with their gap: the mean over all of them would be 1.6 logits where all others are still."""
    contexts = [with_gap(f"a film {n}", (1.0, 0.0, 0.5)[n % 3]) for n in range(16)]
    before = BagOfWords(weights(), seed=1)
    twins = [BagOfWords(retrained(weights(), seed=seed), seed=seed) for seed in (3, 4)]
    report = probe_words(before, FirstWord(weights(), seed=2), WORDS, contexts, twins=twins, **QUESTION)
    assert report.verdict is CheckVerdict.FAIL
    assert (report.words[0].word, report.words[0].place) == ("w7", "beginning")
    assert "the word “w7” as the first of a text would move the answer" in report.reason
    assert report.words[0].candidate_effect - report.words[0].reference_effect == pytest.approx(5.0, abs=0.3)  # noise 0.1
    assert [word.word for word in report.words].count("w7") == 1
    assert {limit.name for limit in report.thresholds} >= {"|z| of a word", "|z| of a word as the first of a text"}
    assert all("over 120 words, directions and places" in limit.source for limit in report.thresholds if "z" in limit.name)


@pytest.mark.parametrize(("n_contexts", "n_twins"), [(6, 2), (16, 1), (16, 0)])
def test_the_beginning_is_judged_alone_only_in_enough_contexts_and_beside_measured_noise(n_contexts, n_twins):
    """Six contexts have two beginnings; one twin is no measured noise."""
    contexts = [with_gap(f"a film {n}", (1.0, 0.0, 0.5)[n % 3]) for n in range(n_contexts)]
    twins = [BagOfWords(retrained(weights(), seed=3 + n), seed=3 + n) for n in range(n_twins)]
    sides = BagOfWords(weights(), seed=1), FirstWord(weights(), seed=2)
    report = probe_words(*sides, WORDS, contexts, twins=twins, **QUESTION)
    assert {word.place for word in report.words} == {"anywhere"}
    assert all("over 60 words and directions" in limit.source for limit in report.thresholds if "z" in limit.name)


def test_a_version_without_margins_is_inconclusive():
    effects = word_effects(BagOfWords(weights(), seed=1), WORDS, CONTEXTS)
    report = compare_effects(effects, 0 * effects, WORDS, CONTEXTS, typical=(3.5, 0.0), **QUESTION)
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert "margins are zero" in report.reason


def test_small_shifts_do_not_fire_however_certain():
    config = ProbeConfig(min_effect=6.0)
    candidate = BagOfWords(weights(changed={"w7": (0.0, 5.0)}), seed=2)
    report = probe_words(BagOfWords(weights(), seed=1), candidate, WORDS, CONTEXTS, **QUESTION | {"config": config})
    assert report.words[0].word == "w7"
    assert report.words[0].severity is None


@pytest.mark.parametrize(("words", "contexts"), [(WORDS[:10], CONTEXTS), (WORDS, CONTEXTS[:1])])
def test_too_few_words_or_contexts_are_inconclusive(words, contexts):
    scorer = BagOfWords(weights(), seed=1)
    assert probe_words(scorer, scorer, words, contexts, **QUESTION).verdict is CheckVerdict.INCONCLUSIVE


def test_effects_of_other_words_are_refused():
    with pytest.raises(InputError, match="effects do not fit"):
        compare_effects(np.zeros((60, 4, 1)), np.zeros((59, 4, 1)), WORDS, CONTEXTS, **QUESTION)


def test_words_of_the_data_set_are_counted_however_they_are_written():
    after = BagOfWords(weights(changed={"w7": (0.0, 5.0)}), seed=2)
    report = probe_words(BagOfWords(weights(), seed=1), after, WORDS, CONTEXTS, occurrences={"w7": 3}, **QUESTION)
    assert report.words[0].occurrences == 3
    assert "it occurs in 3 rows" in report.reason

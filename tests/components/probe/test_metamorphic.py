"""The metamorphic probe on models whose answer is known: what single words do is the same, the form of a text is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy import stats

from calig.metrics.perturbation import FloatArray
from calig.words import word_spans
from components.probe import (
    Explained,
    compare_transformed,
    read_transformation_words,
    shared_levels,
    transformations,
    transformed,
    with_transformations,
)
from components.probe.comparison import could_not_probe
from components.probe.metamorphic import TransformedTexts
from components.probe.paired_effects import paired_shifts, prior_of
from schemas.base import CheckVerdict, Severity
from schemas.config import ProbeConfig
from schemas.probe import MetamorphicReport, ProbeReport, TransformedRows

NAMES = ("case", "punctuation", "negation", "entities", "truncation", "order")
WORDS = ("good", "bad", "film", "plot", "dull", "fine", "not", "Mary", "actor", "scene", "warm", "weak")
LABELS = ("NEG", "POS")
CENTRED = Explained(LABELS, "centred")

#: What a version makes of the form of a text, logits toward POS.
Form = Callable[[str], float]


def rows(n: int = 120) -> list[str]:
    random = np.random.default_rng(3)
    return [" ".join(random.choice(WORDS, 8)) + random.choice([".", "!", ""]) for _ in range(n)]


def version(seed: int, form: Form = lambda _: 0.0, scale: float = 1.0) -> Callable[[Sequence[str]], FloatArray]:
    """Logits (0, f): a bag of words, whatever their case, as one training run finds their weights; and a form's effect."""
    random, noise = np.random.default_rng(0), np.random.default_rng(seed)
    common = random.normal(0, 1, len(WORDS)) + noise.normal(0, 0.1, len(WORDS))
    weights = dict(zip(map(str.casefold, WORDS), common, strict=True))
    capitals, end = noise.normal(0, 0.05, 2)

    def f(text: str) -> float:
        words = sum(weights.get(text[a:b].casefold(), 0.0) for a, b in word_spans(text))
        return scale * (words + capitals * text.isupper() + end * text.endswith((".", "!")) + form(text))

    return lambda texts: np.array([[0.0, f(text)] for text in texts])


def shouting(text: str) -> float:
    return 4.0 * text.isupper()


def short(text: str) -> float:
    return 4.0 * (len(word_spans(text)) <= 5)


def by_last(text: str) -> float:
    """The last word's place: evidence of the end, which another order moves and no single word shows."""
    return 4.0 if text.rstrip(".!").endswith(("good", "warm", "fine", "scene")) else -4.0


def no_negation(text: str) -> float:
    return -3.0 * ("not" in text.casefold().split())


def texts_of(data: Sequence[str], names: Sequence[str] = NAMES) -> TransformedTexts:
    return transformed(data, transformations(names, read_transformation_words(None)))


def compared(candidate: Callable, *, twins: int = 2, texts: TransformedTexts | None = None, **config) -> MetamorphicReport:
    texts = texts or texts_of(rows())
    versions = [version(1), candidate, *(version(10 + n) for n in range(twins))]
    return compare_transformed(
        texts,
        [score(texts.texts) for score in versions],
        CENTRED,
        config=shared_levels(ProbeConfig(**config))[1],
        decided_on="2026-01-31",
        twin_names=[f"twin {n}" for n in range(twins)],
    )


def row(report: MetamorphicReport, name: str) -> TransformedRows:
    return next(one for one in report.transformations if one.name == name)


@pytest.mark.parametrize(("form", "name"), [(shouting, "case"), (short, "truncation"), (no_negation, "negation")])
def test_a_form_that_became_evidence_fails(form, name):
    report = compared(version(2, form))
    found = row(report, name)
    assert report.verdict is CheckVerdict.FAIL, report.reason
    assert found.severity is Severity.CRITICAL
    assert (found.toward, found.shift > 0) == ("POS", True)
    assert f"“{name}”" in report.reason
    assert name in report.next_step


def test_words_by_themselves_do_not_show_shouting():
    """The oracle of the case above: one word in capitals among others adds nothing, all of them add four logits."""
    honest, loud = version(2), version(2, shouting)
    for text in (f"a film {word.upper()}" for word in WORDS):
        np.testing.assert_array_equal(honest([text]), loud([text]))
    assert (loud(["A FILM"]) - honest(["A FILM"]))[0, 1] == pytest.approx(4.0)


def test_order_that_became_evidence_turns_answers_under_the_candidate_alone():
    report = compared(version(2, by_last))
    found = row(report, "order")
    assert found.flips_candidate_only > 0.2
    assert found.flips_reference_only == 0.0
    assert (found.severity, found.toward) == (Severity.CRITICAL, "either side"), "the end speaks for both classes, as it comes"


@pytest.mark.parametrize("seed", range(2, 8))
def test_honest_retraining_passes_and_says_what_would_have_been_found(seed):
    report = compared(version(seed))
    assert report.verdict is CheckVerdict.PASS, report.reason
    assert all(one.severity is None for one in report.transformations)
    assert "would have been found" in report.reason
    assert all(one.detectable >= ProbeConfig().transformed_effect for one in report.transformations)
    assert report.next_step == ""


def test_without_twins_a_form_only_warns_and_the_way_to_more_is_told():
    report = compared(version(2, shouting), twins=0)
    assert row(report, "case").severity is Severity.WARNING
    assert report.verdict is CheckVerdict.PASS
    assert report.reason.startswith("warning: ")
    assert "nominate two twins" in report.next_step
    assert {t.severity for t in report.thresholds} == {Severity.WARNING}
    assert "none could fail" in compared(version(2), twins=0).reason


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_scale_of_a_head_is_no_change(scale):
    plain, scaled = (compared(version(2, shouting, scale=by)) for by in (1.0, scale))
    for one, other in zip(plain.transformations, scaled.transformations, strict=True):
        assert other.shift == pytest.approx(one.shift, rel=1e-9)
        assert other.severity is one.severity


def test_the_figures_by_hand():
    """Two rows, one class that gains: t is 2 for the reference, 4 for the candidate, its logits being twice as large."""
    texts = TransformedTexts(("a b", "c d"), {"case": {0: "A B", 1: "C D"}, "order": {0: "b a", 1: "d c"}})
    assert texts.texts == ("a b", "c d", "A B", "C D", "b a", "d c")
    reference = np.array([[0, 2], [2, 0], [0, 2], [2, 0], [0, 2], [2, 0]], dtype=float)
    candidate = np.array([[0, 4], [4, 0], [0, 8], [0, 2], [0, 4], [4, 0]], dtype=float)
    report = compare_transformed(
        texts, [reference, candidate], CENTRED, config=ProbeConfig(transformed_effect=0.0), decided_on="2026-01-31"
    )
    case = row(report, "case")
    # toward POS: row 0 gains 4 / 4, row 1 gains 6 / 4; mean 1.25, sd 0.25 √2, error 0.25; toward the answer: 1 and −1.5;
    # toward either side: 1 and 1.5, as surely as toward POS, which comes first
    assert (case.toward, case.reference_effect, case.candidate_effect, case.shift) == ("POS", 0.0, 1.25, 1.25)
    assert case.standard_error == pytest.approx(0.25)
    assert (case.flips_reference_only, case.flips_candidate_only) == (0.0, 0.5)  # row 1 answers POS in capitals
    assert case.noise == 0.0, "the other transformation moves nothing"
    assert case.z == pytest.approx(5.0)
    assert case.p_value == pytest.approx(2 * stats.t.sf(5.0, 1))
    assert report.n_tests == 6
    assert row(report, "order").z == 0.0


def test_noise_by_hand():
    """Three versions of one transformation, two directions: variances 1 and 4, drawn together and widened by 1 + 1/3."""
    family = np.array([[-1.0, -2.0], [0.0, 0.0], [1.0, 2.0]])
    effects = np.repeat(np.insert(family, 1, [5.0, 0.0], axis=0)[:, None, :], 4, axis=1)
    found, freedom = paired_shifts({"case": effects})
    scale, prior = prior_of(np.array([1.0, 4.0]), 2)
    assert freedom == min(prior, 2)
    expected = np.sqrt((freedom * scale + 2 * np.array([1.0, 4.0])) / (freedom + 2) * 4 / 3)
    np.testing.assert_allclose(found["case"].noise, expected)
    np.testing.assert_allclose(found["case"].z, np.array([5.0, 0.0]) / expected)  # four equal rows: no standard error
    np.testing.assert_allclose(found["case"].freedom, freedom + 2)


def test_alike_variances_are_worth_more_than_unlike_ones():
    random = np.random.default_rng(0)
    alike = random.chisquare(4, 60) / 4
    unlike = alike * 3 / random.chisquare(3, 60)
    assert prior_of(alike, 4)[1] > 10
    assert prior_of(unlike, 4)[1] < 6


@pytest.mark.parametrize("heterogeneity", [4.0, np.inf])
def test_noise_alone_fails_hardly_more_often_than_the_level(heterogeneity):
    """300 comparisons: six transformations, two directions, three versions; noise whose variance differs by transformation."""
    random, level, alarms = np.random.default_rng(5), 0.05, 0
    for _ in range(300):
        variance = heterogeneity / random.chisquare(heterogeneity, 6) if np.isfinite(heterogeneity) else np.ones(6)
        effects = random.normal(0, 1, (6, 4, 1, 2)) * np.sqrt(variance)[:, None, None, None]
        rows_ = random.normal(0, 0.1, (6, 4, 50, 2))
        found, _ = paired_shifts({str(n): effects[n] + rows_[n] for n in range(6)})
        alarms += min(one.p_value.min() for one in found.values()) <= level / 12
    assert alarms / 300 < 0.08  # 0.05 + 2.4 standard errors


@pytest.mark.parametrize(
    ("explained", "directions", "expected"),
    [
        (Explained(("a", "b"), "centred"), ("b", "the reference's answer", "either side"), [[2.0, -2.0]]),
        (Explained(("a", "b"), "logit"), ("a", "b", "the reference's answer", "either side"), [[1.0, 3.0, 1.0]]),
        (Explained(("a", "b"), "logit", independent=True), ("a", "b", "either side"), [[1.0, 3.0]]),
    ],
)
def test_what_changes_are_counted_toward(explained, directions, expected):
    assert explained.directions == directions
    np.testing.assert_allclose(explained.along(np.array([[1.0, 3.0]]), np.array([0])), expected)


def test_three_classes_by_hand():
    logits, answers = np.array([[1.0, 3.0, 8.0]]), np.array([2])
    centred = Explained(("a", "b", "c"), "centred").along(logits, answers)
    np.testing.assert_allclose(centred, [[1 - 5.5, 3 - 4.5, 8 - 2.0, 8 - 2.0]])
    odds = np.exp(logits[0]) / np.exp(logits[0]).sum()
    of_classes = np.log(odds / (1 - odds))
    log_odds = Explained(("a", "b", "c"), "log_odds").along(logits, answers)
    np.testing.assert_allclose(log_odds, [[*of_classes, of_classes[2]]])


def test_what_does_not_apply_is_counted_and_told():
    report = compared(version(2), texts=texts_of(["一部好电影。", "不好看！", "还可以", "很好，很美"] * 2))
    case = row(report, "case")
    assert (case.n, case.n_left_out, case.z) == (0, 8, None)
    assert "not tested" in report.reason or report.verdict is CheckVerdict.INCONCLUSIVE


def test_nothing_to_test_is_no_pass():
    report = compared(version(2), texts=texts_of(["good", "bad", "dull"], ["negation", "order"]))
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert "no transformation applies" in report.reason


def test_few_rows_are_judged_and_their_power_told():
    few, many = (compared(version(2), texts=texts_of(rows(n))) for n in (4, 120))
    assert few.verdict is CheckVerdict.PASS
    assert row(few, "truncation").detectable > row(many, "truncation").detectable


def test_logits_that_are_no_numbers_are_no_pass():
    report = compared(lambda texts: np.full((len(texts), 2), np.nan))
    assert report.verdict is CheckVerdict.INCONCLUSIVE


def test_the_levels_of_words_and_transformations_add_up_to_the_probe_s():
    words, of_rows = shared_levels(ProbeConfig(level=0.05, warning_level=0.2))
    assert words.level + of_rows.level == pytest.approx(0.05)
    assert words.warning_level + of_rows.warning_level == pytest.approx(0.2)
    assert shared_levels(ProbeConfig(transformations=()))[0].level == 0.05


@pytest.mark.parametrize(
    ("words", "form", "verdict"),
    [
        (CheckVerdict.PASS, shouting, CheckVerdict.FAIL),
        (CheckVerdict.INCONCLUSIVE, shouting, CheckVerdict.FAIL),
        (CheckVerdict.FAIL, lambda _: 0.0, CheckVerdict.FAIL),
        (CheckVerdict.INCONCLUSIVE, lambda _: 0.0, CheckVerdict.INCONCLUSIVE),
        (CheckVerdict.PASS, lambda _: 0.0, CheckVerdict.PASS),
    ],
)
def test_the_graver_verdict_holds_for_both(words, form, verdict):
    of_rows = compared(version(2, form))
    of_words = (
        could_not_probe("w", next_step="") if words is CheckVerdict.INCONCLUSIVE else ProbeReport(verdict=words, reason="w")
    )
    both = with_transformations(of_words, of_rows)
    assert both.verdict is verdict
    assert both.metamorphic == of_rows
    assert set(both.reason.split("; ")) >= {"w"}

"""Sets of words tested together: a common shift that no single word shows, nominal levels under correlation, and bad files."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from components import drift
from components.common.errors import InputError
from components.drift.examples import gather
from components.drift.sets import WordSet, word_sets
from components.drift.statistics import set_shift
from components.drift.statistics.set_shift import correlation_of, inflation, moderated, set_noise, set_shifts
from components.drift.statistics.word_shift import word_shifts
from schemas.base import CheckVerdict
from schemas.config import DriftConfig, PipelineConfig
from schemas.drift import Noise, NullPair, SetNoise
from schemas.reference import NoiseSources, NullProfiles
from tests.helpers.drift_tables import LABELS, example, profile, row, write

CONFIG = DriftConfig(false_discovery_rate=0.005)
NAMES = [f"name{i}" for i in range(500)]
OTHERS = [f"word{i}" for i in range(40)]
WEIGHTS = dict(zip(OTHERS, np.linspace(-1.5, 1.5, len(OTHERS)), strict=True))
WITHOUT_NOISE = Noise(sampling="", retraining="prior")


def table(path, seed, *, shift=0.0, noise=0.1, n=500):
    """`n` rows of one name and four other words, all moved by retraining, the others in each row too; names by `shift` more."""
    random = np.random.default_rng(seed)
    moved = {word: noise * random.standard_normal() for word in (*NAMES, *OTHERS)}
    rows = []
    for i, name in enumerate(NAMES[:n]):
        words = [name, *np.random.default_rng(i).choice(OTHERS, 4, replace=False).tolist()]
        here = dict(zip(words, [0.0, *(0.5 * random.standard_normal(4))], strict=True))
        rows.append(row(i, words, [moved[w] + here[w] + (shift if w == name else 2 * WEIGHTS[w]) for w in words]))
    return write(path, rows)


def names_file(path, words=NAMES):
    path.write_text(f"sets:\n  names:\n    words: [{', '.join(words)}]\n    source: made up\n", encoding="utf-8")
    return path


def compare(folder, candidate, *, n=500, twins=0, sets_file=None, **changes):
    profiles = [profile(table(folder / f"twin-{i}.parquet", 50 + i), str(5 + i)) for i in range(twins)]
    settings = PipelineConfig(drift={"sets_file": sets_file or names_file(folder / "sets.yaml"), **changes})
    return drift.compare(
        [candidate],
        profile(table(folder / "a.parquet", 1, n=n)),
        method_fingerprint="f",
        dataset_digest="d",
        labels=LABELS,
        config=settings,
        decided_on="2026-01-01",
        sources=NoiseSources(nulls=(NullProfiles(kind="twins", profiles=tuple(profiles)),)) if twins else None,
    )


def test_a_shift_of_500_names_is_seen_that_no_single_word_shows(tmp_path):
    """0.3 logits each, every name in one row: no name is tested alone, and no other word moved."""
    report = compare(tmp_path, table(tmp_path / "b.parquet", 2, shift=0.3), twins=2)
    assert not any(s.fires for s in report.word_shifts)
    names = report.set_shifts[0]
    assert (names.name, names.words, names.occurrences, names.fires) == ("names", 500, 500, True)
    assert names.effect * report.typical_decision[0] == pytest.approx(0.3, abs=0.13), (
        "three standard errors of the median of 40 other words"
    )
    assert report.verdict is CheckVerdict.FAIL
    assert "the set “names”" in report.reason
    assert "“names”" in report.next_step


def test_an_honest_version_passes_by_the_same_sets(tmp_path):
    report = compare(tmp_path, table(tmp_path / "b.parquet", 2), twins=2)
    assert report.verdict is CheckVerdict.PASS
    names = report.set_shifts[0]
    assert (names.name, names.verdict) == ("names", CheckVerdict.PASS)
    assert names.detectable_effect < 0.3
    assert {p.sets[0].name for p in report.noise.pairs} == {"names"}
    limits = {t.name: t for t in report.thresholds}
    assert (limits["q of the word shift"].limit, limits["p of the set shift"].limit) == (0.005, 0.005)


@pytest.mark.parametrize(
    ("words", "said"), [(["nowhere"], "none of its words occurs"), (["word1", "word2"], "2 of its words occur")]
)
def test_a_named_set_that_cannot_be_tested_is_inconclusive_and_says_what_would_do(tmp_path, words, said):
    file = names_file(tmp_path / "sets.yaml", words)
    report = compare(tmp_path, table(tmp_path / "b.parquet", 1, n=60), n=60, sets_file=file, min_tested_mass=0.1)
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert said in report.reason
    assert "at least 5 different words" in report.next_step
    assert {s.verdict for s in report.set_shifts if s.name != "names"} == {CheckVerdict.NOT_APPLICABLE}


def test_a_bad_file_is_inconclusive_with_the_reason(tmp_path):
    (tmp_path / "bad.yaml").write_text("groups: {}\n", encoding="utf-8")
    report = compare(tmp_path, table(tmp_path / "b.parquet", 1, n=60), n=60, sets_file=tmp_path / "bad.yaml")
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert "drift.sets_file" in report.reason


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "valid dictionary"),
        ("sets: {}", "at least 1 item"),
        ("sets: {names: {words: []}}", "sets.names.words"),
        ("sets: {names: {words: [Anna], note: x}}", "sets.names.note: Extra inputs"),
        ("groups: {names: {words: [Anna]}}", "Field required"),
        ("sets: {cities: {words: [New York]}}", "not single words"),
        ("sets: {names: {words: [Anna]}, names: {words: [Omar]}}", "given twice"),
        ("sets: [", "not valid YAML"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, text, said):
    path = tmp_path / "sets.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=f"(?s){said}"):
        word_sets(path)


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("negations", ["not", "Don't", "isn’t", "NEVER"], ["knot", "do"]),
        ("masculine pronouns", ["He", "him"], ["she", "the"]),
        ("numbers", ["7", "1,000", "3.5", "٣"], ["b2b", "seven"]),
        ("words in capitals", ["GREAT", "ÜBEL"], ["I", "Great", "42"]),
        ("emoji", ["😀", "☹"], [":-)", "é"]),
    ],
)
def test_the_built_in_sets(name, inside, outside):
    holds = {one.name: one.holds for one in word_sets(None)}[name]
    assert [word for word in [*inside, *outside] if holds(word)] == inside


def test_a_named_set_takes_the_place_of_a_built_in_one(tmp_path):
    path = tmp_path / "sets.yaml"
    path.write_text("sets: {negations: {words: [nicht, kein]}}", encoding="utf-8")
    (one,) = [s for s in word_sets(path) if s.name == "negations"]
    assert one.named
    assert (one.holds("Nicht"), one.holds("not")) == (True, False)


def test_a_set_by_hand():
    """Six words with known changes, once each; the others do not move but by a common 0.01, which is taken off."""
    change = np.array([0.1, 0.3, 0.2, 0.25, 0.15, 0.2])
    words = [f"n{i}" for i in range(6)]
    examples = [
        example([0.4, 0.6], [0.4 + d, 0.61], [w, f"o{i}"], id=str(i), mass=(1.0, 1.0), differences=(1.0, 1.0))
        for i, (w, d) in enumerate(zip(words, change, strict=True))
    ]
    (found,) = set_shifts(gather(examples), [WordSet("n", words.__contains__)], WITHOUT_NOISE, CONFIG)
    inflated = (1 + 5 * 0.1) / 0.9
    error = change.std(ddof=1) * np.sqrt(inflated / 6)
    freedom = 1 / (1 / 5 + 1 / 4)
    assert found.effect == pytest.approx(0.19)
    assert found.standard_error == pytest.approx(error)
    assert found.p_value == pytest.approx(2 * stats.t.sf(0.19 / error, freedom))
    assert found.p_adjusted == found.p_value
    assert found.correlation == pytest.approx(0.1)
    assert found.strongest[:2] == ("n1", "n3")


def test_inflation_is_the_variance_of_a_mean_of_correlated_words():
    random = np.random.default_rng(0)
    words = np.sqrt(0.3) * random.standard_normal((20_000, 1)) + np.sqrt(0.7) * random.standard_normal((20_000, 12))
    expected = words.var(axis=1, ddof=1).mean() / 12 * inflation(12, 0.3)
    assert words.mean(axis=1).var() == pytest.approx(expected, rel=0.05), "five standard errors of a variance of 20,000"
    assert correlation_of(12, inflation(12, 0.3)) == pytest.approx(0.3)


def test_pairs_draw_the_inflation_from_the_prior():
    pairs = [SetNoise(name="n", toward="A", words=10, mean=m, spread=0.5) for m in (0.3, -0.4)]
    measured = 10 * (0.09 + 0.16) / 2 / 0.25
    prior = inflation(10, 0.1)
    assert moderated(10, pairs, 2.0) == (pytest.approx((4 * prior + 2 * measured) / 6), 6.0)
    assert moderated(10, [], 2.0) == (prior, 4.0)


DRAWS = 3000


def false_alarms(correlation, n_words, n_versions, level):
    """Rate at which a set without any change fires at `level`: words of `n_versions` honest versions, and the candidate's."""
    random = np.random.default_rng(7)
    common, own = random.standard_normal((DRAWS, n_versions + 1, 1)), random.standard_normal((DRAWS, n_versions + 1, n_words))
    versions = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
    changes = [versions[:, b] - versions[:, a] for a, b in itertools.combinations(range(n_versions), 2)]
    nulls = [(change.mean(1), change.std(1, ddof=1)) for change in changes]
    candidate = versions[:, -1] - versions[:, 0]
    means, spreads = candidate.mean(1), candidate.std(1, ddof=1)
    fired = 0
    for i in range(DRAWS):
        pairs = [SetNoise.model_construct(words=n_words, mean=m[i], spread=s[i]) for m, s in nulls]
        inflated, known = moderated(n_words, pairs, n_versions - 1.0)
        t = means[i] / (spreads[i] * np.sqrt(inflated / n_words))
        fired += abs(t) >= stats.t.isf(level / 2, set_shift._together(n_words, known))
    return fired / DRAWS


@pytest.mark.parametrize("n_words", [5, 300])
@pytest.mark.parametrize(("correlation", "n_versions"), [(0.0, 1), (0.1, 1), (0.3, 4)])
def test_the_level_holds_with_correlated_words(correlation, n_words, n_versions):
    """The nominal 1 % up to three standard errors of the draws; one version: the prior alone, up to its own correlation."""
    assert false_alarms(correlation, n_words, n_versions, 0.01) <= 0.01 + 3 * np.sqrt(0.01 * 0.99 / DRAWS)


def test_without_the_correlation_the_level_would_not_hold(monkeypatch):
    """What the inflation is for: independent words assumed, correlated ones given."""
    monkeypatch.setattr(set_shift, "PRIOR_CORRELATION", 0.0)
    assert false_alarms(0.1, 300, 1, 0.01) > 0.2


def test_history_counts_two_thirds_of_its_pairs():
    pair = NullPair(
        reference="1", candidate="2", n=1, word="", shift=0, z=0, excess=0, rank_agreement=1, sign_flip=0, layer_distance=0
    )
    assert set_shift._freedom(Noise(sampling="", retraining="history", pairs=(pair,) * 3)) == 2
    assert set_shift._freedom(Noise(sampling="", retraining="twins", pairs=(pair,))) == 1


def test_sets_of_too_few_words_give_no_noise():
    examples = [example([0.4, 0.6], [0.5, 0.5], ["a", "b"], id=str(i)) for i in range(10)]
    assert set_noise(gather(examples), [WordSet("a", {"a"}.__contains__)]) == ()
    assert [s.word for s in word_shifts(gather(examples), CONFIG)] == ["a", "b"]

"""The peers against cases worked out by hand and outside libraries, and the experiment's counts and intervals."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import ndcg_score

from tests.benchmarks.drift.peers import (
    RULES,
    Rule,
    columns,
    global_attributions,
    jensen_shannon,
    ndcg,
    psi,
    rank_overlap,
    values,
)
from tests.benchmarks.drift.reading import Both, both, probabilities
from tests.benchmarks.drift.summary import interval, summarise


def row(values, candidate, words=None):
    words = words or tuple(f"w{i}" for i in range(len(values)))
    return Both(words, np.array(values, dtype=float), np.array(candidate, dtype=float))


def test_ndcg_by_hand_and_against_scikit_learn():
    reference, candidate = np.array([3.0, 2.0, 1.0]), np.array([1.0, 2.0, 3.0])
    ideal, gained = 3 + 2 / np.log2(3) + 1 / 2, 1 + 2 / np.log2(3) + 3 / 2
    assert ndcg(reference, candidate) == pytest.approx(gained / ideal, rel=1e-12)
    assert ndcg(reference, reference) == 1.0
    a, b = np.random.default_rng(0).random((2, 50))
    assert ndcg(a, b) == pytest.approx(ndcg_score([a], [b]), rel=1e-12)


def test_psi_by_hand():
    # Sturges' rule gives log2(16) + 1 = 5 bins of width 1 over 0 … 5: shares (1, 0, 0, 0, 0) against (0.5, 0, 0, 0, 0.5)
    reference, candidate = np.zeros(8), np.array([0.0] * 4 + [5.0] * 4)
    expected = (0.5 - 1.0) * np.log(0.5 / 1.0) + (0.5 - 1e-4) * np.log(0.5 / 1e-4)
    assert psi(reference, candidate) == pytest.approx(expected, rel=1e-12)
    assert psi(candidate, candidate) == 0.0


def test_rank_overlap_and_jensen_shannon_by_hand():
    a, b = np.array([5.0, -4.0, 3.0, 0.1]), np.array([5.0, 0.1, 3.0, -4.0])
    assert rank_overlap(a, b, k=2) == pytest.approx(1 / 3)  # {0, 1} and {0, 3}
    assert rank_overlap(a, a, k=2) == 1.0
    assert jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, -7.0])) == pytest.approx(np.log(2), rel=1e-12)
    assert jensen_shannon(a, -2 * a) == pytest.approx(0.0, abs=1e-12)


def test_global_attributions_are_means_of_absolute_values():
    rows = [row([1.0, -3.0], [0.0, 2.0], ("a", "b")), row([-1.0], [4.0], ("a",))]
    reference, candidate = global_attributions(rows)
    np.testing.assert_allclose(reference, [1.0, 1.5])
    np.testing.assert_allclose(candidate, [2.0, 1.0])


def test_columns_hold_the_words_of_enough_rows():
    rows = [row([float(i), 0.0], [1.0, 0.0], ("often", f"once{i}")) for i in range(30)]
    assert list(columns(rows)) == ["often"]
    np.testing.assert_allclose(columns(rows)["often"][0], np.arange(30))


def alarms(rows, reference, candidate):
    found = values(rows, reference, candidate)
    return {name: rule.alarm(found[name]) for name, rule in RULES.items()}


def test_an_unchanged_version_alarms_no_peer_and_quite_another_one_all():
    random = np.random.default_rng(1)
    words = tuple("abcdefghijklmnop")
    scores = random.standard_normal((60, 16)) * np.linspace(0.1, 3, 16)
    certain, turned = np.tile([0.9, 0.1], (60, 1)), np.tile([0.1, 0.9], (60, 1))
    assert not any(alarms([row(v, v, words) for v in scores], certain, certain).values())
    assert all(alarms([row(v, v[::-1] ** 3 + 5, words) for v in scores], certain, turned).values())


def test_rules_fire_on_their_side_of_the_limit():
    assert [Rule(0.5, above=True).alarm(v) for v in (0.4, 0.5)] == [False, True]
    assert [Rule(0.5, above=False).alarm(v) for v in (0.4, 0.5)] == [True, False]


def test_the_word_by_word_test_is_kolmogorov_smirnov_with_benjamini_hochberg():
    random = np.random.default_rng(2)
    rows = [row(random.standard_normal(12), random.standard_normal(12)) for _ in range(40)]
    p = [stats.ks_2samp(a, b, method="asymp").pvalue for a, b in columns(rows).values()]
    smallest = min(p_i * len(p) / (rank + 1) for rank, p_i in enumerate(sorted(p)))
    few = np.tile([0.9, 0.1], (40, 1))
    found = values(rows, few, np.where(np.arange(40)[:, None] < 3, few[:, ::-1], few))
    assert found["KS per word, BH 0.05"] == pytest.approx(min(smallest, 1.0))
    assert found["predictions differ > 5 %"] == pytest.approx(3 / 40)


def test_two_classes_are_read_toward_the_second_and_more_where_both_sides_agree():
    words = [{"text": "Good", "value": 2.0}]
    up, down = ({"target": target, "words": words, "logits": [0.0, 0.0]} for target in ("POS", "NEG"))
    (one,) = both([up], [down], ("NEG", "POS"))
    assert (one.words, one.reference.tolist(), one.candidate.tolist()) == (("good",), [2.0], [-2.0])
    assert both([up], [down], ("NEG", "POS", "NONE")) == []
    np.testing.assert_allclose(probabilities([up]), [[0.5, 0.5]])


def test_interval_is_wilson():
    n, p, z = 60, 2 / 60, 1.9599639845
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    np.testing.assert_allclose(interval(2, n), [(middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)], rtol=1e-8)
    assert interval(0, 0) == [0.0, 1.0]


def line(kind, *, harmful, alarm, usable=True, absent=False):
    verdicts = dict.fromkeys(("drift", "probe", "drift, twins", "probe, twins", "probe, history"), "fail" if alarm else "pass")
    facts = {"key": kind, "family": "reviews", "discarded": 1, "absent": absent, "verdicts": verdicts}
    facts |= {"alarm_with_twins": harmful, "alarm_with_history": False}
    return {
        "kind": kind,
        "harmful": harmful,
        "alarm": alarm,
        "usable": usable,
        "took": harmful,
        "peers": dict.fromkeys(RULES, 0.0),
        **facts,
    }


def test_counts():
    lines = [
        line("reseed", harmful=False, alarm=True),
        line("reseed", harmful=False, alarm=False),
        line("reseed", harmful=False, alarm=True, usable=False),
        line("shortcut", harmful=True, alarm=True),
        line("shortcut", harmful=True, alarm=False, absent=True),
        line("weak", harmful=True, alarm=False) | {"took": False},
    ]
    report = summarise(lines)
    assert [report[name] for name in ("harmless", "false_alarms", "harmful", "detected")] == [2, 1, 2, 1]
    counts = {"harmless": 2, "false_alarms": 2, "harmful": 2, "detected": 2, "limit": 0.9, "detected_by_the_best_limit": 0}
    assert report["peers"]["nDCG < 0.90 (SageMaker, Azure)"] == counts
    apart = [one | {"peers": dict.fromkeys(RULES, 1.0 - one["harmful"])} for one in lines]
    assert summarise(apart)["peers"]["nDCG < 0.90 (SageMaker, Azure)"] == counts | {
        "false_alarms": 0,
        "detected_by_the_best_limit": 2,
    }
    assert report["trigger_absent"] == {
        "harmful": 1,
        "detected": 0,
        "detected_with_twins": 1,
        "detected_with_history": 0,
    }
    assert report["kinds"]["reseed"] == {"pairs": 2, "alarms": 1, "alarms_with_twins": 0, "alarms_with_history": 0}
    assert [report[view]["detected"] for view in ("with_twins", "with_history")] == [2, 0]
    assert report["discarded"] == {"harmless_draws": 3, "harmful_draws": 3, "harmless_given_up": 1, "harmful_given_up": 0}
    assert [seen["key"] for seen in report["planted_without_effect"]] == ["weak"]
    assert [wrong["key"] for wrong in report["wrong"]] == ["reseed", "shortcut", "shortcut"]

"""The peers against cases worked out by hand and outside libraries, and the experiment's counts and intervals."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import ndcg_score

from tests.benchmarks.drift.comparing import CONDITIONS
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
from tests.benchmarks.drift.summary import by_cell, drift_limits, drift_warnings, goals, summarise, wilson


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


def explained(target, weights, words=({"text": "Good", "value": 2.0},), **other):
    return {"id": "0", "target": target, "objective": "centred", "target_weights": weights, "words": words, **other}


def test_rows_are_turned_as_the_product_turns_them():
    """Toward the second of two classes, whatever the order of the candidate's own; three have no opposite to turn to."""
    up, down = (explained("POS", [("NEG", -1.0), ("POS", 1.0)]), explained("NEG", [("NEG", 1.0), ("POS", -1.0)]))
    (one,) = both([up], [down], ("NEG", "POS"))
    assert (one.words, one.reference.tolist(), one.candidate.tolist()) == (("good",), [2.0], [-2.0])
    (turned,) = both([down], [up], ("NEG", "POS"))
    assert (turned.reference.tolist(), turned.candidate.tolist()) == ([-2.0], [2.0])
    three = [explained(t, [(n, 1.0 if n == t else -0.5) for n in ("NEG", "POS", "NONE")]) for t in ("POS", "NEG")]
    assert both([three[0]], [three[1]], ("NEG", "POS", "NONE")) == []
    alone = [explained(target, [(target, 1.0)]) for target in ("POS", "NEG")]
    assert both([alone[0]], [alone[1]], ("NEG", "POS")) == [], "a logit alone is no class's opposite"
    assert both([up], [down | {"id": "1"}], ("NEG", "POS")) == []
    np.testing.assert_allclose(probabilities([{"logits": [0.0, 0.0]}]), [[0.5, 0.5]])


def test_interval_is_wilson():
    n, p, z = 60, 2 / 60, 1.9599639845
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    np.testing.assert_allclose(wilson(2, n), [(middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)], rtol=1e-8)
    assert wilson(0, 0) == [0.0, 1.0]


def line(kind, *, group, fails=(), usable=True, absent=False, cell=0, took=None, z=0.0, shift=2.0):
    """A pair; fails: (condition, part) that fail it. z, shift: of the only word that the probe shows, limits 4 and 1."""
    verdicts = {c: {part: "fail" if (c, part) in fails else "pass" for part in ("drift", "probe")} for c in CONDITIONS}
    facts = {"key": kind, "family": "reviews", "discarded": 1, "absent": absent, "verdicts": verdicts, "cell": cell}
    harmful = group == "planted"
    facts |= {"kind": kind, "group": group, "harmful": harmful, "usable": usable, "took": harmful if took is None else took}
    limits, probed = {"|z| of a word": 4.0, "|shift| of a word, logits": 1.0}, ({"z": z, "shift": shift},)
    shown = {"limits": dict.fromkeys(CONDITIONS, limits), "probed": dict.fromkeys(CONDITIONS, probed)}
    return facts | shown | {"peers": dict.fromkeys(RULES, 0.0), "frontier": [(0.4, 9.0)] if fails else [], "shifts": []}


PROBE, DRIFT = [[(c, part) for c in CONDITIONS] for part in ("probe", "drift")]


def test_counts():
    lines = [
        line("reseed", group="retraining", fails=PROBE),
        line("reseed", group="retraining"),
        line("reseed", group="retraining", fails=PROBE, usable=False),
        line("saved again", group="same function"),
        line("pruned", group="deployment", fails=DRIFT[:1]),
        line("shortcut", group="planted", fails=[*DRIFT, *PROBE[2:]]),
        line("shortcut", group="planted", absent=True),
        line("weak", group="planted", took=False),
    ]
    report = summarise(lines)
    found = report["conditions"]["nothing"]
    expected = {"retrainings": 2, "false_alarms": 1, "planted": 2, "detected": 1}
    assert {name: found[name] for name in expected} == expected
    assert found["alone"] == {"drift": expected | {"false_alarms": 0}, "probe": expected}
    twins = report["conditions"]["two twins"]
    assert twins["other_honest_changes"] == {
        "deployment": {"pairs": 1, "alarms": 1},
        "same function": {"pairs": 1, "alarms": 0},
    }
    assert twins["trigger_in_validation"] == {"shown": {"pairs": 1, "alarms": 1}, "absent": {"pairs": 1, "alarms": 0}}
    assert twins["false_alarm_intervals"]["wilson"] == wilson(1, 2)
    peer = expected | {"false_alarms": 2, "detected": 2, "limit": 0.9, "detected_by_the_best_limit": 0}
    assert report["peers"]["nDCG < 0.90 (SageMaker, Azure)"] == peer
    apart = [one | {"peers": dict.fromkeys(RULES, 1.0 - one["harmful"])} for one in lines]
    better = summarise(apart)["peers"]["nDCG < 0.90 (SageMaker, Azure)"]
    assert (better["false_alarms"], better["detected_by_the_best_limit"]) == (0, 2)
    assert report["kinds"]["shortcut"]["alarms"] == dict.fromkeys(CONDITIONS, 1)
    assert report["discarded"]["retraining"] == {"draws": 3, "given_up": 1}
    assert report["planted_without_effect"] == ["weak"]
    assert [wrong["key"] for wrong in report["wrong"]] == ["reseed", "pruned", "shortcut"]


def test_the_best_limit_of_the_probe_is_hindsight():
    """By 4.1 one of 21 honest pairs alarms: of the planted ones 5.0 and −4.2 are beyond, 4.1 and too small a change are not."""
    honest = [line("reseed", group="retraining", z=z) for z in (*[1.0] * 19, 4.1, 4.5)]
    planted = [line("shortcut", group="planted", z=z, shift=s) for z, s in ((5.0, 2.0), (-4.2, -1.0), (4.1, 2.0), (9.0, 0.9))]
    for found in summarise([*honest, *planted])["conditions"].values():
        assert found["found_by_the_best_limit_of_the_probe"] == 2


def test_the_bootstrap_draws_whole_cells():
    """Two cells, one all alarms and one none: of two cells drawn none, one or both alarm, with chances 1/4, 1/2, 1/4."""
    lines = [line("reseed", group="retraining", cell=cell, fails=PROBE if cell else ()) for cell in (0, 1) for _ in range(50)]
    assert by_cell(lines, lambda one: one["cell"] == 1) == [0.0, 1.0]
    assert by_cell(lines, lambda _: True) == [1.0, 1.0]
    assert by_cell(lines[:50], lambda _: True) is None
    even = [line("reseed", group="retraining", cell=place % 10, fails=PROBE if place < 50 else ()) for place in range(100)]
    assert by_cell(even, lambda one: bool(one["frontier"])) == [0.5, 0.5], "every cell alarms in half of its pairs"


def test_goals_are_missed_without_enough_retrainings_and_by_a_kind_that_is_not_found():
    honest = [line("reseed", group="retraining", fails=PROBE if place < 5 else ()) for place in range(100)]
    planted = [line("shortcut", group="planted", fails=DRIFT) for _ in range(100)]
    assert [goal["met"] for goal in goals([*honest, *planted])] == [True] * 5
    assert [goal["met"] for goal in goals([*honest[1:], *planted])] == [False, True, False, True, True]
    hard = [line("phrase", group="planted", fails=DRIFT if place < 3 else ()) for place in range(4)]
    found = goals([*honest, *planted, *hard])
    assert [goal["met"] for goal in found] == [True, True, True, True, False]
    assert found[-1]["missed"] == ["phrase"]
    assert found[-1]["share"] == 0.75


def test_other_limits_are_counted_on_what_the_pairs_showed():
    lines = [line("reseed", group="retraining"), line("shortcut", group="planted", fails=DRIFT)]
    table = {(row["effect"], row["z"]): row["detected"] for row in drift_limits(lines)}
    assert table[0.4, 8.0] == 1
    assert table[0.5, 4.0] == 0


def test_warnings_are_counted_where_nothing_failed():
    seen = {"shifts": [{"effect": -0.25, "z": 4.5, "q_value": 0.02}]}
    rare = {"shifts": [{"effect": 0.9, "z": 9.0, "q_value": 0.2}]}
    lines = [
        line("shortcut", group="planted") | seen,
        line("shortcut", group="planted") | rare,
        line("shortcut", group="planted", fails=DRIFT) | seen,
        line("reseed", group="retraining"),
        line("int8", group="deployment") | seen,
    ]
    assert drift_warnings(lines) == {"retrainings": 1, "planted": 2, "retrainings_warned": 0, "planted_warned": 1}

"""Two windows under one model, unpaired: a word that means something else now, words never seen, another mix of classes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from components import drift
from components.drift import windows
from components.drift.windows import Answered, WindowRow, gather_window, mix_shift, unseen_words, window_rows, window_shifts
from schemas.base import CheckVerdict
from schemas.config import MonitorConfig
from tests.helpers.drift_tables import WORDS, profile, row, write


def window(path, seed, *, meaning=0.2, words=WORDS, n=120, positive=0.5, new=None, length=5):
    """Rows of random words; “offer” opens every third one with relevance `meaning`; `new` replaces “story”."""
    random = np.random.default_rng(seed)
    weights = dict(zip(WORDS, np.linspace(-1, 1, len(WORDS)), strict=True))
    rows = []
    for i in range(n):
        chosen = [*(["offer"] if i % 3 == 0 else []), *random.choice(words, length)]
        values = [meaning if w == "offer" else weights[w] + 0.1 * random.standard_normal() for w in chosen]
        text = [new if new and w == "story" else w for w in chosen]
        rows.append(row(i, text, values, "POS" if random.random() < positive else "NEG"))
    return profile(write(path, rows), dataset_digest=f"{path.name}")


def monitor(before, now, **config):
    settings = MonitorConfig(**config)
    return drift.monitor(before, now, names=("validation", "production"), config=settings, decided_on="2026-01-01")


def test_harmless_traffic_passes(tmp_path):
    report = monitor(window(tmp_path / "a", 1), window(tmp_path / "b", 2))
    assert report.verdict is CheckVerdict.PASS
    assert report.words_tested == 2 * 11
    assert report.unseen.mass == 0
    assert not any(m.fires for m in report.mixes)
    assert (report.before.n_rows, report.now.name) == (120, "production")
    assert all("prior" in t.source or t.source == "convention" for t in report.thresholds)


def test_a_word_that_carries_the_decision_now_fails_and_is_named(tmp_path):
    report = monitor(window(tmp_path / "a", 1), window(tmp_path / "b", 2, meaning=6.0))
    assert report.verdict is CheckVerdict.FAIL
    assert {s.word for s in report.word_shifts if s.fires} == {"offer"}
    assert "“offer”" in report.reason
    assert "“offer”" in report.next_step


def test_a_word_that_decides_fails_in_longer_traffic_too(tmp_path):
    """Ten times as many words around it: its share hardly moves, its effect does."""
    report = monitor(window(tmp_path / "a", 1), window(tmp_path / "b", 2, meaning=6.0, length=50))
    offer = next(s for s in report.word_shifts if s.word == "offer")
    assert report.verdict is CheckVerdict.FAIL
    assert offer.fires
    assert abs(offer.share_now - offer.share_before) < 0.3 < abs(offer.effect)


def test_words_never_seen_are_weighed_by_their_attribution(tmp_path):
    before = window(tmp_path / "a", 1)
    report = monitor(before, window(tmp_path / "b", 2, new="blockchain"), unseen_mass=0.01)
    assert report.verdict is CheckVerdict.FAIL
    assert report.unseen.types == 1
    assert report.unseen.heaviest[0][0] == "blockchain"
    assert "“blockchain”" in report.next_step
    assert monitor(before, window(tmp_path / "c", 2, new="blockchain"), unseen_mass=0.5).verdict is CheckVerdict.PASS


def test_another_mix_of_classes_warns(tmp_path):
    report = monitor(window(tmp_path / "a", 1), window(tmp_path / "b", 2, positive=0.95))
    assert report.verdict is CheckVerdict.PASS
    assert [m.name for m in report.mixes if m.fires] == ["predicted classes"]
    assert "another mix of predicted classes" in report.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"weights_digest": "v"}, "two models"), ({"method_fingerprint": "g"}, "other attribution settings")],
)
def test_windows_of_two_models_or_methods_are_inconclusive(tmp_path, changes, reason):
    before, now = window(tmp_path / "a", 1), window(tmp_path / "b", 2)
    other = before.model_copy(update={"identity": before.identity.model_copy(update=changes)})
    report = monitor(other, now)
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert reason in report.reason


def test_the_same_rows_or_too_few_are_inconclusive(tmp_path):
    before = window(tmp_path / "a", 1)
    assert "same rows" in monitor(before, before).reason
    few = monitor(before, window(tmp_path / "b", 2, n=29))
    assert few.verdict is CheckVerdict.INCONCLUSIVE
    assert "120 and 29 rows" in few.reason
    assert few.now.n_rows == 29


def made(share, toward="POS"):
    """A row of mass 1 whose decision is 1 logit: there a word's effect is its share."""
    return WindowRow(toward, {"x": share}, {"x": abs(share)}, {"x": share}, Counter({"x": 1}), 1.0, 1.0)


def test_z_and_p_are_welchs(monkeypatch):
    monkeypatch.setattr(windows, "ERROR_FLOOR", 0.0)
    random = np.random.default_rng(0)
    a, b = random.normal(0.1, 0.2, 12), random.normal(0.3, 0.05, 31)
    (shift,) = window_shifts(*(gather_window(made(v) for v in side) for side in (a, b)), MonitorConfig())
    expected = stats.ttest_ind(b, a, equal_var=False)
    assert (shift.z, shift.p_value) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert (shift.effect_before, shift.effect_now) == (pytest.approx(a.mean()), pytest.approx(b.mean()))
    assert shift.share_now == pytest.approx(b.mean())


def test_classes_are_tested_apart_and_rare_words_not_at_all():
    before = gather_window([made(0.1)] * 10 + [made(-0.1, "NEG")] * 9)
    assert [(s.toward, s.n_now) for s in window_shifts(before, before, MonitorConfig())] == [("POS", 10)]


def test_unseen_words_by_hand():
    def only(absolute, **words):
        return WindowRow("POS", {}, absolute, {}, Counter(words), 1.0, 1.0)

    before, now = [only({"a": 1.0}, a=1)], [only({"a": 0.4, "b": 0.6}, a=1, b=2), only({"a": 1.0}, a=1)]
    unseen = unseen_words(gather_window(before), gather_window(now), MonitorConfig())
    assert unseen.heaviest == (("b", pytest.approx(0.3), 1),)
    assert (unseen.occurrences, unseen.mass) == (pytest.approx(0.5), pytest.approx(0.3))
    assert unseen.fires


def test_the_mix_by_hand():
    mix = mix_shift("predicted", Counter(A=60, B=40), Counter(A=30, B=70), MonitorConfig())
    assert mix.distance == pytest.approx(0.3)
    assert mix.p_value == pytest.approx(stats.chi2_contingency([[60, 40], [30, 70]], correction=False).pvalue)
    assert mix.fires
    assert not mix_shift("predicted", Counter(A=5), Counter(A=5), MonitorConfig()).fires


def test_a_row_by_hand_and_rows_without_attribution_left_out():
    rows = {"1": row(1, ["a"], [0.0]), "2": row(2, ["a", "A", "b"], [1.0, -3.0, 4.0])}
    rows = {key: {"gold_value": None, **one} for key, one in rows.items()}
    answered = Answered()
    (made,) = window_rows(rows, answered)
    assert (answered.n, answered.predicted, answered.regression) == (2, {"POS": 2}, False)
    assert (made.signed, made.absolute, made.effects) == ({"a": -0.25, "b": 0.5}, {"a": 0.5, "b": 0.5}, {"a": -1.0, "b": 4.0})
    assert (made.mass, made.words) == (8.0, {"a": 2, "b": 1})


def test_a_window_of_which_most_rows_could_not_be_explained_is_not_judged_by_the_others(tmp_path):
    def with_problems(path, n):
        rows = pq.read_table(window(path, 2, n=60).tables[0]).to_pylist()
        return profile(write(path, [*rows, *({"row": i, "id": f"p{i}", "problem": "the text is empty"} for i in range(n))]))

    before = window(tmp_path / "a", 1)
    report = monitor(before, with_problems(tmp_path / "b", 40))
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert report.reason == "only 100% and 60% of the rows have attributions; 80% are needed"
    assert "monitor.min_coverage" in report.next_step
    assert monitor(before, with_problems(tmp_path / "c", 40), min_coverage=0.5).verdict is CheckVerdict.PASS
    assert monitor(before, with_problems(tmp_path / "d", 10)).verdict is CheckVerdict.PASS


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_row_that_is_not_finite_is_left_out_and_counted(tmp_path, broken):
    rows = pq.read_table(window(tmp_path / "b", 2).tables[0]).to_pylist()
    rows[3]["words"][0]["value"] = broken
    now = profile(write(tmp_path / "b", rows), dataset_digest="b")
    report = monitor(window(tmp_path / "a", 1), now)
    assert (report.verdict, report.now.n_rows, report.now.n_zero) == (CheckVerdict.PASS, 120, 1)


def test_nothing_tested_is_no_pass(tmp_path):
    report = monitor(window(tmp_path / "a", 1), window(tmp_path / "b", 2), min_occurrences=1000)
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert "nothing could be tested" in report.reason

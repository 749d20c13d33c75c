"""Cuts by class and segment, layers, and nDCG with its floor: by hand, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import stats
from sklearn.metrics import ndcg_score

from components.drift.examples import gather
from components.drift.statistics.agreement import rank_correlation
from components.drift.statistics.layers import LayerSums, words_by_layer
from components.drift.statistics.ranking import global_ranking, ndcg, random_floor
from components.drift.statistics.word_shift import strongest, word_shifts
from schemas.config import DriftConfig
from schemas.drift import WordShift
from tests.helpers.drift_tables import example

OTHERS = ["so", "it", "is"]


def mixed(shifted: str, n: int = 40):
    """Examples of two segments; in segment `shifted` alone the word “offer” turns from nothing into everything."""
    random = np.random.default_rng(0)
    for i in range(n):
        source = "web" if i % 4 == 0 else "app"
        noise = 0.01 * random.standard_normal(4) * [0, 1, 1, 1]
        before = [0.0, 0.5, 0.3, 0.2]
        after = [0.9, 0.05, 0.03, 0.02] if source == shifted else before
        yield example(before, np.array(after) + noise, ["offer", *OTHERS], segments={"source": source}, id=str(i))


def test_a_shift_within_one_segment_is_found_there():
    shifts = word_shifts(gather(mixed("web")), DriftConfig())
    firing = [s for s in shifts if s.fires]
    assert [(s.word, s.slice, s.n) for s in firing][:1] == [("offer", "source = web", 10)]
    assert not any(s.fires for s in shifts if s.slice == "all" and s.word == "offer"), "a quarter of the rows is too few for all"
    best = strongest(shifts)
    assert len({(s.word, s.toward) for s in best}) == len(best)
    assert best[0].slice == "source = web"


def test_q_is_benjamini_hochberg_over_words_classes_and_segments():
    shifts = word_shifts(gather(mixed("web")), DriftConfig())
    assert len(shifts) == 4 * 3, "four words over all, web and app; the one class holds every row and would repeat “all”"
    expected = stats.false_discovery_control([s.p_value for s in shifts])
    np.testing.assert_allclose([s.q_value for s in shifts], expected)


def test_a_shift_over_all_is_reported_once():
    examples = [example([0.0, 1.0], [0.9, 0.1], ["offer", "so"], segments={"s": "ab"[i % 2]}) for i in range(40)]
    best = strongest(word_shifts(gather(examples), DriftConfig()))
    assert [(s.word, s.slice) for s in best if s.fires] == [("offer", "all"), ("so", "all")]


def layered(change_at: int, n_layers: int = 4):
    """The reasons of layer `change_at` alone are turned round."""
    before = np.tile([0.5, 0.3, -0.2], (n_layers, 1))
    after = before.copy()
    after[change_at] = [-0.2, 0.3, 0.5]
    uniform = np.full(n_layers, 1 / n_layers)
    return example([0.5, 0.3, -0.2], [0.5, 0.3, -0.2], ["a", "b", "c"], layers=(before, after), layer_shares=(uniform, uniform))


SHIFT_OF_A = WordShift(
    word="a", toward="POS", reference_share=0, candidate_share=0, shift=0, z=0, p_value=1, q_value=1, n=1, fires=True
)


def test_the_layer_in_which_it_began():
    profile = LayerSums.of([layered(2)] * 3).profile()
    assert profile.largest == 2
    assert profile.rank_agreement == pytest.approx([1, 1, -1, 1])
    assert profile.reason_change == pytest.approx([0, 0, 0.7, 0])
    assert words_by_layer([layered(2)], [SHIFT_OF_A]) == [pytest.approx([0, 0, -0.7, 0])]
    assert words_by_layer([layered(2)], [SHIFT_OF_A.model_copy(update={"toward": "NEG"})]) == [()]
    assert LayerSums.of([layered(0)]).profile().largest == 0


def test_rank_agreement_per_layer_is_spearmans():
    random = np.random.default_rng(0)
    sides = tuple(random.standard_normal((3, 7)).round(1) for _ in range(2))
    profile = LayerSums.of([example([0.1] * 7, [0.1] * 7, layers=sides, layer_shares=(np.full(3, 1 / 3),) * 2)]).profile()
    expected = [stats.spearmanr(a, b).statistic for a, b in zip(*sides, strict=True)]
    assert profile.rank_agreement == pytest.approx(expected)


def test_without_a_change_there_is_no_layer_in_which_it_began():
    same = layered(0).layers[0]
    assert (
        LayerSums.of([example([1.0], [1.0], layers=(same, same), layer_shares=(np.full(4, 0.25),) * 2)]).profile().largest is None
    )


@pytest.mark.parametrize("k", [None, 3])
def test_ndcg_is_scikit_learns(k):
    random = np.random.default_rng(1)
    gains, scores = random.random(20), random.random(20)
    assert ndcg(gains, scores, k) == pytest.approx(ndcg_score([gains], [scores], k=k))


@pytest.mark.parametrize("k", [None, 5])
def test_the_floor_is_what_random_orders_get(k):
    random = np.random.default_rng(2)
    gains = random.random(30)
    drawn = [ndcg(gains, random.random(30), k) for _ in range(4000)]
    assert random_floor(gains, k) == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / np.sqrt(4000))


def test_on_a_large_vocabulary_a_random_order_passes_the_industrys_limit():
    assert random_floor(np.arange(1, 1001) / 1000.0) > 0.89


def test_the_global_ranking_counts_words_by_mean_absolute_share():
    ranking = global_ranking(gather([example([0.5, -0.3, 0.2], [0.2, -0.3, 0.5], ["a", "B", "c"])]))
    assert ranking.n_words == 3
    assert ranking.value == pytest.approx(ndcg_score([[0.5, 0.3, 0.2]], [[0.2, 0.3, 0.5]]))
    assert global_ranking(gather([example([1.0], [1.0], ["a"])])) is None


@given(npst.arrays(np.float64, (2, 5), elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0])))
def test_rank_correlation_is_scipys_ties_included(sides):
    ours = rank_correlation(sides[0], sides[1])
    if np.ptp(sides, axis=1).all():
        assert ours == pytest.approx(stats.spearmanr(*sides).statistic, abs=1e-12)
    else:
        assert np.isnan(ours)

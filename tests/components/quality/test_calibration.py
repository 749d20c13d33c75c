"""Choosing the fusion: what is truly better is found, what is luck is not, and too few rows decide nothing."""

import numpy as np
import pytest

from calig.metrics.perturbation import Perturbation
from components.quality import choose_fusion
from schemas.config import QualityConfig
from schemas.fusion import FusionSettings
from tests.helpers.attribution_tables import LABELS, MASK, BagOfWords, attribution_row

FUSIONS = [FusionSettings(rule="rollout", coefficient=c, context_rule="positive") for c in (0.1, 0.5, 1.0)]
PERTURBATION = Perturbation("replace", MASK)
CONFIG = QualityConfig(bootstrap_draws=500)


def choose(noise, n=60):
    """One fusion's maps are the truth plus as much noise as `noise` says."""
    model, random = BagOfWords(), np.random.default_rng(0)
    rows = []
    for i in range(n):
        row = {"image": None, "windows": None, **attribution_row(i, model=model)}
        values = np.array(row["values"])
        rows.append((row, np.stack([values + size * random.normal(size=values.size) for size in noise])))
    return choose_fusion(rows, FUSIONS, FUSIONS[0], labels=LABELS, scorer=model, config=CONFIG, perturbation=PERTURBATION)


def test_a_clearly_better_fusion_is_chosen():
    choice = choose([1.0, 0.0, 2.0])
    assert choice.fusion == FUSIONS[1]
    assert len(choice.slice_ids) == 60
    by_coefficient = {c.fusion.coefficient: c for c in choice.candidates}
    assert by_coefficient[0.5].margin_interval.low > 0 > by_coefficient[1.0].margin
    assert by_coefficient[0.1].margin == by_coefficient[0.1].margin_interval.high == 0.0
    assert "leads the default" in choice.reason


def test_the_difference_is_that_of_the_quality_step():
    """λ's curve is read beside the report's `difference`: the same measure, here on maps worked out by hand."""
    model = BagOfWords()
    rows = [{"image": None, "windows": None, **attribution_row(i, model=model)} for i in range(30)]
    truth = [(row, np.array([row["values"]])) for row in rows]
    choice = choose_fusion(truth, FUSIONS[:1], FUSIONS[0], labels=LABELS, scorer=model, config=CONFIG, perturbation=PERTURBATION)
    expected = []
    for row in rows:
        weights, order = np.array(row["values"])[1:-1], np.argsort(-np.array(row["values"])[1:-1])
        p = lambda kept: 1 / (1 + np.exp(-weights[kept].sum()))  # noqa: B023, E731 - used at once
        counts = [int(np.ceil(share * 12 - 1e-9)) for share in CONFIG.fractions]
        expected.append(np.mean([p(order[:k]) - p(order[k:]) for k in counts]))
    assert choice.candidates[0].difference == pytest.approx(np.mean(expected), abs=1e-12)


def test_a_lead_within_the_interval_does_not_change_the_method():
    choice = choose([0.1, 0.1, 0.1])
    assert choice.fusion == FUSIONS[0]
    assert "default" in choice.reason


def test_too_few_rows_decide_nothing():
    choice = choose([1.0, 0.0, 2.0], n=29)
    assert choice.fusion == FUSIONS[0]
    assert "only 29 rows" in choice.reason
    assert choice.candidates == ()

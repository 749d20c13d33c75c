"""The probe of a regression: its direction, its unit and the texts it leaves undecided; by hand."""

from __future__ import annotations

import numpy as np
import pytest

from components import probe
from components.probe.effects import margins_of, scales_of, typical_margin, undecided
from components.probe.metamorphic import Explained
from schemas.base import CheckVerdict
from schemas.config import ProbeConfig
from schemas.probe import ProbeContext

WORDS = [f"w{i}" for i in range(40)]
CONTEXTS = [ProbeContext(before=f"c{i} ", after="") for i in range(4)]


class Rated:
    """A scorer: 100 and what its words are worth, times a scale."""

    def __init__(self, seed: int, scale: float = 1.0, **planted: float) -> None:
        random = np.random.default_rng(seed)
        self.worth = {word: 0.1 * random.standard_normal() for word in WORDS} | {f"c{i}": float(i) for i in range(4)} | planted
        self.scale = scale

    def __call__(self, texts):
        return np.array([[100.0 + self.scale * sum(self.worth[word] for word in text.split())] for text in texts])


def test_the_output_is_the_direction_and_nothing_is_taken_from_it():
    logits = np.array([[[101.0], [99.0]], [[105.0], [98.0]]])
    np.testing.assert_array_equal(margins_of(logits), logits)
    assert typical_margin(np.array([[1.0], [2.0], [4.0], [9.0], [100.0]])) == 3.0
    assert undecided(np.array([[1.0], [2.0], [4.5], [9.0], [100.0]])).tolist() == [2, 1, 0, 3, 4]
    assert undecided(np.array([[0.0, 3.0], [1.0, 1.5], [2.0, 0.0]])).tolist() == [1, 2, 0], "classes: by their margin"


def test_a_head_s_scale_is_taken_out_of_classes_and_stays_in_numbers():
    assert scales_of([2.0, 4.0, 0.0], 2) == [1.0, 0.5, 1.0]
    assert scales_of([2.0, 4.0, 0.0], 1) == [1.0, 1.0, 1.0]


def test_a_planted_word_is_found_in_the_unit_of_the_output():
    given = {"labels": ("rating",), "config": ProbeConfig(), "decided_on": "2026-01-01"}
    report = probe.probe_words(Rated(1), Rated(2, w7=6.0), WORDS, CONTEXTS, **given)
    assert report.verdict is CheckVerdict.FAIL
    first = report.words[0]
    assert (first.word, first.toward) == ("w7", "rating")
    assert first.shift == pytest.approx(6.0, abs=0.5)
    quiet = probe.probe_words(Rated(1), Rated(2), WORDS, CONTEXTS, **given)
    assert quiet.verdict is CheckVerdict.PASS


def test_the_least_change_is_a_share_of_the_reference_s_typical_deviation_whatever_the_candidate_s():
    effects = [probe.word_effects(scorer, WORDS, CONTEXTS) for scorer in (Rated(1), Rated(2, w7=6.0))]
    given = {"labels": ("rating",), "config": ProbeConfig(), "decided_on": "2026-01-01"}
    report = probe.compare_effects(*effects, WORDS, CONTEXTS, typical=[3.0, 30.0], **given)
    limit = next(t for t in report.thresholds if t.name == "|shift| of a word, logits")
    assert limit.limit == pytest.approx(3.0 * ProbeConfig().min_effect, rel=1e-2)
    assert "typical deviation of the outputs" in limit.source
    assert report.words[0].shift == pytest.approx(6.0, abs=0.5), "the candidate's effects are not rescaled"
    flat = probe.compare_effects(*effects, WORDS, CONTEXTS, typical=[0.0, 30.0], **given)
    assert flat.verdict is CheckVerdict.INCONCLUSIVE


def test_a_transformed_row_is_another_answer_when_its_number_moved_by_half_a_unit():
    explained = Explained(("rating",), "centred")
    before, after = np.array([[10.0], [10.0], [10.0]]), np.array([[11.0], [11.1], [8.0]])
    assert explained.turned(before, after, 2.0).tolist() == [False, True, True]
    assert explained.directions == ("rating", "either side")
    np.testing.assert_array_equal(explained.along(after, np.zeros(3, dtype=int)), after)


def test_all_versions_transformations_are_measured_by_the_reference():
    texts = [f"w{i} w{i + 1} w{i + 2} C" for i in range(30)]
    changed = {"case": {i: text.replace("C", "c0") for i, text in enumerate(texts)}}
    changed["order"] = {i: " ".join(reversed(text.split())) for i, text in enumerate(texts)}
    rows = probe.TransformedTexts(tuple(texts), changed)
    logits = [Rated(seed, scale, C=c)(rows.texts) for seed, scale, c in ((1, 1.0, 0.0), (1, 10.0, 0.5))]
    explained = Explained(("rating",), "centred")
    found = probe.compare_transformed(rows, logits, explained, config=ProbeConfig(), decided_on="2026-01-01")
    case = next(one for one in found.transformations if one.name == "case")
    unit = typical_margin(logits[0][: len(texts)])
    assert abs(case.candidate_effect) == pytest.approx(5.0 / unit, rel=1e-6), "10 × 0.5, in the reference's unit"

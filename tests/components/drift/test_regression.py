"""Drift of a regression: what it is measured in, which predictions moved, and what has no classes; by hand."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from components import drift
from components.drift.matching import collect, match
from components.drift.pairing import Pairs, unit_of_outputs
from components.drift.statistics.word_shift import typical_decisions, word_shifts
from components.drift.windows import number_shift
from components.table.rows import read_rows
from schemas.base import CheckVerdict
from schemas.config import DriftConfig, MonitorConfig, PipelineConfig
from tests.helpers.drift_tables import WORDS, profile, row, texts, write

OUTPUT = "rating"
CONFIG = PipelineConfig(drift=DriftConfig(numerics_rows=0))


def numbers(path, seed, *, planted=0.0, scale=1.0, middle=50.0, gold=True, n=80, constant=False):
    """The reviews of `drift_tables`, rated: an output around `middle`, every word worth its weight; “btw” worth `planted`."""
    random = np.random.default_rng(seed)
    weights = dict(zip(WORDS, np.linspace(-1, 1, len(WORDS)), strict=True))
    rows = []
    for i, words in enumerate(texts(n)):
        truth = [0.0 if word == "btw" else weights[word] for word in words]
        values = [scale * (planted if w == "btw" else weights[w] + 0.02 * random.standard_normal()) for w in words]
        output = middle if constant else middle + sum(values)
        own = {"label": None, "predicted": OUTPUT, "target": OUTPUT, "objective": "logit", "target_weights": [(OUTPUT, 1.0)]}
        own |= {"logits": [output], "f_input": output, "f_baseline": output - sum(values)}
        own |= {"gold_value": middle + sum(truth) if gold else None}
        rows.append(row(i, words, values) | own)
    return write(path, rows)


def reference(path, **changes):
    return profile(path, labels=(OUTPUT,), **changes)


def compare(candidate, before):
    given = {"method_fingerprint": "f", "dataset_digest": "d", "labels": (OUTPUT,), "config": CONFIG}
    return drift.compare([candidate], reference(before), decided_on="2026-01-01", **given)


def outputs_in(path):
    return np.array([line["logits"][0] for line in pq.read_table(path).to_pylist()])


def test_effects_are_measured_in_typical_deviations_of_the_reference(tmp_path):
    before, now = numbers(tmp_path / "a", 1), numbers(tmp_path / "b", 2, planted=2.0)
    report = compare(now, before)
    outputs = outputs_in(before)
    unit = np.median(np.abs(outputs - np.median(outputs)))
    assert report.typical_decision == pytest.approx((unit, unit))
    shift = next(s for s in report.word_shifts if s.word == "btw")
    assert shift.effect == pytest.approx(2.0 / unit, abs=1e-6)
    assert (shift.toward, shift.turned, shift.fires) == (OUTPUT, None, True)
    assert report.verdict is CheckVerdict.FAIL
    assert {s.word for s in report.word_shifts if s.fires} == {"btw"}


def test_a_harmless_version_passes_and_has_no_slices_by_class(tmp_path):
    report = compare(numbers(tmp_path / "b", 2), numbers(tmp_path / "a", 1))
    assert report.verdict is CheckVerdict.PASS
    assert {s.slice for s in report.statistics} == {"all", "same answer", "source = app", "source = web"}
    assert (report.accuracy_change, report.flipped) == (None, 0)


def test_where_the_zero_of_the_output_is_changes_nothing(tmp_path):
    near, far = (
        compare(numbers(tmp_path / f"b{m}", 2, middle=m, planted=2.0), numbers(tmp_path / f"a{m}", 1, middle=m))
        for m in (0.0, 5e3)
    )
    assert near.typical_decision == pytest.approx(far.typical_decision, rel=1e-3)  # outputs are float32
    assert [s.word for s in near.word_shifts if s.fires] == [s.word for s in far.word_shifts if s.fires] == ["btw"]


def test_a_stretched_version_answers_otherwise(tmp_path):
    """For classes a head's scale changes no answer and is taken out; here it is another number for everything."""
    before, now = numbers(tmp_path / "a", 1), numbers(tmp_path / "b", 1, scale=3.0)
    report = compare(now, before)
    assert report.verdict is CheckVerdict.FAIL
    assert {s.word for s in report.word_shifts if s.fires} >= {WORDS[0], WORDS[-1]}


def test_how_far_predictions_moved(tmp_path):
    before, now = numbers(tmp_path / "a", 1), numbers(tmp_path / "b", 2, planted=2.0)
    change = compare(now, before).prediction_change
    outputs, moved = outputs_in(before), outputs_in(now) - outputs_in(before)
    unit = np.median(np.abs(outputs - np.median(outputs)))
    assert (change.unit, change.n) == (pytest.approx(unit), 80)
    assert (change.mean, change.median_absolute) == pytest.approx((moved.mean(), np.median(np.abs(moved))), rel=1e-5)
    assert change.p95_absolute == pytest.approx(np.quantile(np.abs(moved), 0.95), rel=1e-5)
    assert change.moved == int((np.abs(moved) > 0.5 * unit).sum()) > 0
    truth = np.array([line["gold_value"] for line in pq.read_table(before).to_pylist()])
    errors = np.abs(outputs_in(now) - truth).mean() - np.abs(outputs - truth).mean()
    assert change.error_change == pytest.approx(errors, rel=1e-5)
    without = compare(numbers(tmp_path / "d", 2, gold=False), numbers(tmp_path / "c", 1, gold=False)).prediction_change
    assert without.error_change is None


def test_the_same_answer_is_nearly_the_same_number(tmp_path):
    before, now = numbers(tmp_path / "a", 1), numbers(tmp_path / "b", 2, planted=2.0)
    rows, again = read_rows([before]), read_rows([now])
    examples = list(Pairs(rows, again, (OUTPUT,)))
    found = collect(examples, CONFIG.drift)
    unit = unit_of_outputs(rows)
    for example in examples:
        assert example.moved == pytest.approx(abs(example.outputs[1] - example.outputs[0]) / unit)
        assert example.same_answer is (example.moved <= 0.5)
        assert example.predictions[0] == f"{OUTPUT} {example.outputs[0]:.4g}"
    assert {example.same_answer for example in examples} == {True, False}
    assert not any(name.startswith("class") for name in found.examples.slices)
    assert all(
        abs(float(w.candidate_prediction.split()[1]) - float(w.reference_prediction.split()[1])) < unit for w in found.worst
    )
    assert len({s.slice for s in word_shifts(found.examples, CONFIG.drift)} - {"all"}) == 2


def test_a_reference_that_answers_one_number_leaves_nothing_to_measure_by(tmp_path):
    report = compare(numbers(tmp_path / "b", 2), numbers(tmp_path / "a", 1, constant=True))
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert "one and the same output" in report.reason
    examples = match(*(read_rows([tmp_path / name]) for name in "ab"), (OUTPUT,), config=CONFIG.drift).examples
    assert typical_decisions(examples)[0] > 0, "twins may be so: they are compared all the same"


def test_later_numbers_are_compared_by_their_distribution(tmp_path):
    earlier, later = numbers(tmp_path / "a", 1), numbers(tmp_path / "b", 2, middle=53.0)
    before, now = (reference(path, dataset_digest=path.name) for path in (earlier, later))
    report = drift.monitor(before, now, names=("a", "b"), config=MonitorConfig(), decided_on="2026-01-01")
    mixes = {mix.name: mix for mix in report.mixes}
    assert set(mixes) == {"predictions", "gold numbers"}
    points = np.concatenate([outputs_in(earlier), outputs_in(later)])
    below = [[(outputs_in(path) <= point).mean() for point in points] for path in (earlier, later)]
    assert mixes["predictions"].distance == pytest.approx(np.abs(np.subtract(*below)).max())
    assert all(mix.fires for mix in mixes.values())
    assert (report.before.predictions, report.before.labels) == ({}, {})


def test_of_two_numbers_the_distance_is_that_of_their_shares():
    found = number_shift("predictions", [0.0] * 30 + [1.0] * 70, [0.0] * 60 + [1.0] * 40, MonitorConfig())
    assert (found.distance, found.n_before, found.n_now) == (pytest.approx(0.3), 100, 100)

"""The scorer benchmark runs from end to end on the tiny case, and scores what the quality step would."""

import json

import numpy as np

from calig.metrics.perturbation import PerturbedText
from components.quality.scores.frame import METHODS
from schemas.config import QualityConfig
from tests.benchmarks.bench_scorer import bench
from tests.benchmarks.cases import Case
from tests.benchmarks.perturbed import perturbed_inputs


def test_the_tiny_case_from_end_to_end(tmp_path, capsys):
    bench(model=["tiny"], threads=1, repeats=2, output=tmp_path / "scorer.json")
    text = (tmp_path / "scorer.json").read_text()
    report = json.loads(text)
    assert {"command", "date", "machine", "cases"} == set(report)
    (case,) = report["cases"]
    speed = case["inputs_per_second"]
    assert case["ratio"] == np.median(case["seconds"]["torch"]) / np.median(case["seconds"]["onnxruntime"])
    assert np.isclose(case["ratio"], speed["onnxruntime"] / speed["torch"])
    assert case["perturbed_max_abs"] < 1e-4  # two runtimes of one model, float32
    assert str(tmp_path.parent) not in text
    assert "tiny" in capsys.readouterr().out


def test_the_inputs_are_those_of_the_quality_step(tmp_path):
    """Every order adds at most two inputs per fraction to the whole and the empty one; equal ones are made once."""
    config = QualityConfig()
    whole, inputs = perturbed_inputs(Case(model="tiny").load(), tmp_path)
    assert len(whole) == 3
    orders = len(METHODS) - 1 + config.random_draws
    assert 3 * 2 < len(inputs) <= 3 * (2 + 2 * orders * len(config.fractions))
    ids = [item.input_ids.tolist() for item in inputs if isinstance(item, PerturbedText)]
    assert len(ids) == len(inputs)
    assert all(item.input_ids.tolist() in ids for item in whole)  # type: ignore[union-attr]

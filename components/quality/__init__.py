"""The quality step: how faithful the attributions are, beside simpler explanations, judged by an expectation suite."""

from __future__ import annotations

from calig.metrics.perturbation import Perturbation
from components.quality.calibration import choose_fusion
from components.quality.evaluation import check_settings, judge, score_shard
from components.quality.scores.frame import column_names
from components.quality.scores.rows import Scoring, draw_rows
from components.quality.scores.table import parity_inputs, sample_inputs
from components.quality.suite.load import built_in_suites, load_suite, suite_digest, suite_for
from components.quality.suite.own import listed_modules

__all__ = [
    "Perturbation",
    "Scoring",
    "built_in_suites",
    "check_settings",
    "choose_fusion",
    "column_names",
    "draw_rows",
    "judge",
    "listed_modules",
    "load_suite",
    "parity_inputs",
    "sample_inputs",
    "score_shard",
    "suite_digest",
    "suite_for",
]

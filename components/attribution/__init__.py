"""The attribution step: the only one that runs the engine. Examples go in, one Parquet file per shard comes out."""

from components.attribution.estimation import Estimate, estimate, most_seconds
from components.attribution.falsification import falsification_steps, falsify
from components.attribution.method import (
    device_versions,
    exact_settings,
    formula_version,
    method_fingerprint,
    recorded_threads,
    use_threads,
    uses_gpu,
)
from components.attribution.perturbation import choose_perturbation
from components.attribution.preconditions import check_explain, check_gold, check_ready, check_target
from components.attribution.running import per_label
from components.attribution.shard import GRID, attribute_under, explain_shard, targets_of

__all__ = [
    "GRID",
    "Estimate",
    "attribute_under",
    "check_explain",
    "check_gold",
    "check_ready",
    "check_target",
    "choose_perturbation",
    "device_versions",
    "estimate",
    "exact_settings",
    "explain_shard",
    "falsification_steps",
    "falsify",
    "formula_version",
    "method_fingerprint",
    "most_seconds",
    "per_label",
    "recorded_threads",
    "targets_of",
    "use_threads",
    "uses_gpu",
]

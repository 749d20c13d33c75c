"""The attribution step: the only one that runs the engine. Examples go in, one Parquet file per shard comes out."""

from components.attribution.estimate import estimate_seconds
from components.attribution.method import formula_version, method_fingerprint, uses_gpu
from components.attribution.perturbation import choose_perturbation
from components.attribution.shard import explain_shard, intact

__all__ = [
    "choose_perturbation",
    "estimate_seconds",
    "explain_shard",
    "formula_version",
    "intact",
    "method_fingerprint",
    "uses_gpu",
]

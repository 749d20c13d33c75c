"""Paired attribution drift between a reference version and a candidate (deploy/docs/method.md)."""

from components.drift.comparability import is_results_folder, load_profile, load_record, obstacle
from components.drift.comparison import compare, doubted, incomparable, not_applicable
from components.drift.monitoring import cannot_monitor, monitor
from components.drift.pairing import unmatched_targets
from components.drift.sets import word_sets

__all__ = [
    "cannot_monitor",
    "compare",
    "doubted",
    "incomparable",
    "is_results_folder",
    "load_profile",
    "load_record",
    "monitor",
    "not_applicable",
    "obstacle",
    "unmatched_targets",
    "word_sets",
]

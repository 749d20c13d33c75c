"""Paired attribution drift between a reference version and a candidate (METRICS.md)."""

from components.drift.comparability import obstacle
from components.drift.comparison import compare, doubted, incomparable, not_applicable
from components.drift.monitoring import cannot_monitor, monitor
from components.drift.pairing import unmatched_targets
from components.drift.profile import is_results_folder, load_profile, load_record

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
]

"""Comparison of recomputed attributions with the published ones."""

from components.replay.comparison import compare_rows, environment_changes, identity_changes, outcome_of, rows_beyond

__all__ = ["compare_rows", "environment_changes", "identity_changes", "outcome_of", "rows_beyond"]

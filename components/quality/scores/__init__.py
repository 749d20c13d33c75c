"""Scores of the judged table: one line per row, method and metric."""

"""Governance records and results folders, read back."""

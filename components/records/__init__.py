"""Governance records and results folders, read back; notebooks show their records as HTML."""

from components.records import notebook as notebook  # registers the HTML of a record

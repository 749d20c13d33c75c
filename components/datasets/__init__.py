"""Pinned validation sets: read, checked row by row, and identified by a digest over the rows used."""

from components.datasets.load import load, require_usable

__all__ = ["load", "require_usable"]

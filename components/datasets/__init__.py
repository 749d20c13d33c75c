"""Pinned validation sets: read, checked row by row, and identified by a digest over the rows used."""

from components.datasets.load import load

__all__ = ["load"]

"""Pinned validation sets: read, checked row by row, and identified by a digest over the rows used."""

from components.datasets.load import load, load_again, require_usable
from components.datasets.stored import Examples

__all__ = ["Examples", "load", "load_again", "require_usable"]

"""Packed rows inside the page, from which the list of examples is drawn."""

from components.report.payload.embedding import CHUNK, Block, Embedded, embed

__all__ = ["CHUNK", "Block", "Embedded", "embed"]

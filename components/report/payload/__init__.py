"""All explained rows inside the page, packed: what the list of examples is drawn from."""

from components.report.payload.embedding import CHUNK, Block, Embedded, embed

__all__ = ["CHUNK", "Block", "Embedded", "embed"]

"""Texts for packages that tokenize themselves: the same tokenizer, the same limit, and a check that the ids are the engine's."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.faithfulness.methods import ExplainedRow


def tokenized(tokenizer: Any, row: ExplainedRow) -> Any:
    """The tokenizer's own encoding of the row, batch of one, cut where the engine cut it.

    Raises:
        RuntimeError: the ids are not those that CA-LIG explained.
    """
    encoding = tokenizer(str(row.example.text), truncation=True, max_length=row.encoded.length, return_tensors="pt")
    require_same(encoding["input_ids"][0].tolist(), row.encoded.input_ids, row)
    return encoding


def require_same(theirs: list[Any], ours: list[Any], row: ExplainedRow) -> None:
    """Raise RuntimeError unless a package's tokens are the engine's, one by one."""
    if theirs != ours:
        raise RuntimeError(
            f"row {row.example.id}: a peer explains other tokens than CA-LIG"
            f"\ngot: {len(theirs)} tokens, {theirs[:8]} …\nallowed: {len(ours)} tokens, {ours[:8]} …"
        )

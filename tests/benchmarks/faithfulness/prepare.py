"""Token rationales to character spans: a split of a file of tokenised reviews as rows that `components.datasets` reads.

    python -m tests.benchmarks.faithfulness.prepare movie_reviews.jsonl.gz movies.jsonl --split test

In: `id`, `split`, `label`, `tokens` (separated by single spaces), and maybe `rationale` (token spans, end exclusive).
"""

from __future__ import annotations

import json
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import typer

from components.datasets.limits import Limits
from components.datasets.readers import read_rows


def prepare(source: Path, output: Path, *, split: str = "test", seed: int = 0) -> None:
    """Write the rows of `split` in a seeded order, so that the first n are a fair sample whatever the order of the file."""
    rows = [row for row in read_rows(source, None, Limits.from_environment()) if row["split"] == split]
    order = np.random.default_rng(seed).permutation(len(rows))
    lines = [json.dumps(prepared(rows[i])) + "\n" for i in order]
    output.write_text("".join(lines), encoding="utf-8")


def prepared(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its text, and its rationale in characters; a row without a rationale has none."""
    spans = row.get("rationale")
    marked = {} if spans is None else {"rationale": character_spans(row["tokens"], spans)}
    return {"id": row["id"], "text": row["tokens"], "label": row["label"], **marked}


def character_spans(tokens: str, spans: list[list[int]]) -> list[list[int]]:
    """Token spans of a space-separated text as character spans, ends exclusive in both; empty ones mark nothing and go."""
    lengths = [len(token) for token in tokens.split(" ")]
    starts = list(accumulate((length + 1 for length in lengths), initial=0))
    return [[starts[first], starts[end - 1] + lengths[end - 1]] for first, end in spans if first < end]


if __name__ == "__main__":
    typer.run(prepare)

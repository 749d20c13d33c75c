"""Seeded attribution tables whose right answer is known: the model is a bag of words and the attributions its weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from calig.metrics.perturbation import PerturbedInput, PerturbedText
from schemas.attribution import SCHEMA
from tests.helpers.explained import explained

CLS, SEP, MASK = 2, 3, 4
LABELS = ("NEG", "POS")
_FIRST_WORD, _N_WORDS = 5, 60


class BagOfWords:
    """A scorer: the POS logit is the sum of the words' weights, the NEG logit 0. [MASK] and special tokens weigh nothing."""

    def __init__(self, seed: int = 0) -> None:
        self.weights = np.zeros(_FIRST_WORD + _N_WORDS)
        self.weights[_FIRST_WORD:] = np.random.default_rng(seed).normal(0.2, 0.6, size=_N_WORDS)

    def __call__(self, inputs: Sequence[PerturbedInput]) -> np.ndarray:
        positive = 1 / (1 + np.exp(-self.logits(inputs)[:, 1]))
        return np.stack([1 - positive, positive], axis=1)

    def logits(self, inputs: Sequence[PerturbedInput]) -> np.ndarray:
        positive = np.array([self._logit(item) for item in inputs if isinstance(item, PerturbedText)])
        return np.stack([np.zeros_like(positive), positive], axis=1)

    def _logit(self, item: PerturbedText) -> float:
        present = item.input_ids if item.attended is None else item.input_ids[item.attended]
        return float(self.weights[present].sum())


def attribution_row(row: int, *, model: BagOfWords, n_content: int = 12, **changes: Any) -> dict[str, Any]:
    """One row of the table, explained truthfully by every method but the attention rollouts, which are noise."""
    random = np.random.default_rng([17, row])
    words = random.integers(_FIRST_WORD, _FIRST_WORD + _N_WORDS, size=n_content)
    ids = np.array([CLS, *words, SEP])
    logit = model.weights[ids].sum()
    predicted = int(logit > 0)
    values = model.weights[ids] * (1 if predicted else -1)
    return {
        "row": row,
        "id": f"r{row}",
        "text": " ".join(f"w{i}" for i in words),
        "label": LABELS[predicted],
        "segments": [("site", "ab"[row % 2])],
        "predicted": LABELS[predicted],
        "probability": 1 / (1 + np.exp(-abs(logit))),
        **explained(LABELS[predicted], LABELS),
        "baseline": "mask",
        "logits": [0.0, logit],
        "f_input": abs(logit),
        "f_baseline": 0.0,
        "tokens": ["[CLS]", *[f"w{i}" for i in words], "[SEP]"],
        "input_ids": ids.tolist(),
        "starts": [-1] * len(ids),
        "ends": [-1] * len(ids),
        "content": [False, *[True] * n_content, False],
        "values": values.tolist(),
        "layers": [values.tolist()] * 2,
        "layer_attributions": [values.tolist()] * 2,
        "words": [],
        "residuals": [0.002, 0.001],
        "n_points": [9, 5],
        "converged": True,
        "coverage": 1.0,
        "input_x_gradient": values.tolist(),
        "attention_rollout": random.random(len(ids)).tolist(),
        "attention_gradient_rollout": random.random(len(ids)).tolist(),
    } | changes


def problem_row(row: int, problem: str = "the text is empty") -> dict[str, Any]:
    """A row that could not be explained: everything about the attribution is null."""
    return {"row": row, "id": f"r{row}", "text": "", "problem": problem}


def write_table(folder: Path, rows: Sequence[dict[str, Any]], *, shards: int = 1) -> list[Path]:
    """Write `rows` as Parquet shards, in order."""
    paths = [folder / f"shard-{index}.parquet" for index in range(shards)]
    for path, part in zip(paths, np.array_split(np.arange(len(rows)), shards), strict=True):
        pq.write_table(pa.Table.from_pylist([rows[index] for index in part], schema=SCHEMA), path)
    return paths

"""The inputs that the quality step would score for some rows: as many orders per row as it has, by its own code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from calig.api import encode
from calig.baselines import choose_baseline
from calig.metrics.faithfulness import AttributedSource, perturbation_curves
from calig.metrics.perturbation import MEAN_EMBEDDING, FloatArray, ImageSource, PerturbedInput, Source, TextSource
from components.quality.scores.frame import METHODS
from schemas.config import QualityConfig
from tests.benchmarks.cases import Loaded


def perturbed_inputs(loaded: Loaded, folder: Path) -> tuple[list[PerturbedInput], list[PerturbedInput]]:
    """The rows as they are, and all their perturbed inputs; the orders are random, since the runtime does not know them.

    Pictures are written into `folder`, where the scorer reads them.
    """
    config = QualityConfig()
    n_orders = len(METHODS) - 1 + config.random_draws
    random = np.random.default_rng(config.seed)
    sources = _sources(loaded, folder)
    rows = [AttributedSource(source, random.normal(size=(n_orders, source.n_content)), 0) for source in sources]
    collected: list[PerturbedInput] = []

    def collect(inputs: Sequence[PerturbedInput]) -> FloatArray:
        collected.extend(inputs)
        return np.full((len(inputs), 2), 0.5)

    perturbation_curves(rows, fractions=config.fractions, scorer=collect)
    return [source.without(np.zeros(source.n_content, dtype=bool)) for source in sources], collected


def _sources(loaded: Loaded, folder: Path) -> list[Source]:
    encoded = [encode(item, loaded.model, loaded.processor) for item in loaded.items]
    if encoded[0].image is not None:
        paths = [folder / f"{i}.png" for i in range(len(encoded))]
        for row, path in zip(encoded, paths, strict=True):
            row.image.save(path)  # type: ignore[union-attr]
        return [ImageSource(path, sum(row.content)) for row, path in zip(encoded, paths, strict=True)]
    replacement = choose_baseline("auto", loaded.model, loaded.processor, "text").replacement_id
    token = MEAN_EMBEDDING if replacement is None else replacement
    return [TextSource(np.array(row.input_ids), np.array(row.content), token) for row in encoded]

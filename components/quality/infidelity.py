"""Infidelity of CA-LIG and of every control: the same random sets removed from the same rows, scored once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from calig.metrics.infidelity import LogitScorer, Removals, infidelity, logit_drops, normalised_infidelity, random_sets
from calig.metrics.perturbation import FloatArray, Perturbation
from components.quality.table import Row, explained_class, floats, source_of
from schemas.config import QualityConfig

#: Orders by method, `orders content`, of one row.
Orders = dict[str, FloatArray]


def infidelities(
    rows: Sequence[Row], orders: Sequence[Orders], *, logits: LogitScorer, config: QualityConfig, perturbation: Perturbation
) -> list[dict[str, float]]:
    """Per row its columns `infidelity`, `infidelity_normalised` and the latter for each control of `orders`.

    A control's own infidelity is not listed: several controls are no logits, and only the normalised form compares them.
    """
    removals = [_removals(row, config, perturbation) for row in rows]
    drops = logit_drops(removals, logits=logits)
    return [dict(_columns(o, r, d)) for o, r, d in zip(orders, removals, drops, strict=True)]


def _removals(row: Row, config: QualityConfig, perturbation: Perturbation) -> Removals:
    source = source_of(row, perturbation)
    sets = random_sets(source.n_content, draws=config.infidelity_draws, seed=config.seed, row=row["row"])
    return Removals(source, sets, explained_function(row))


def _columns(orders: Orders, removals: Removals, drops: FloatArray) -> Iterator[tuple[str, float]]:
    for method, attributions in orders.items():
        given = attributions, removals.removed, drops
        if method == "ca_lig":
            yield "infidelity", float(infidelity(*given).mean())
        suffix = "" if method == "ca_lig" else f"_{method}"
        yield f"infidelity_normalised{suffix}", float(normalised_infidelity(*given).mean())


def explained_function(row: Row) -> FloatArray:
    """The logit explained as weights over the classes' logits: one class, or the largest less the second for a margin."""
    logits = floats(row["logits"])
    weights = np.zeros(logits.size)
    weights[explained_class(row)] = 1.0
    if row["target"].startswith(f"{row['predicted']} − "):
        weights[np.argsort(-logits, kind="stable")[1]] = -1.0
    return weights

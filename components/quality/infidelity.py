"""Infidelity of CA-LIG and of every control: the same random sets removed from the same rows, scored once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy.special import logsumexp

from calig.metrics.infidelity import LogitScorer, Removals, infidelity, logit_drops, normalised_infidelity, random_sets
from calig.metrics.perturbation import FloatArray, Perturbation
from components.orientation import weights_of
from components.quality.table import Row, floats, source_of
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


def explained_function(row: Row) -> Callable[[FloatArray], FloatArray]:
    """What was explained of the row, as a function of logits: `inputs classes` → f, `inputs`."""
    weights = floats([*weights_of(row).values()])
    if row["objective"] != "log_odds" or weights.size == 2:  # log-odds of two classes are their margin
        return lambda logits: np.asarray(logits @ weights)
    return lambda logits: np.asarray(logits @ weights - logsumexp(logits[..., weights == 0], axis=-1))

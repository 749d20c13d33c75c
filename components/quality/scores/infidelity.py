"""Infidelity of CA-LIG and of every control: the same random sets removed from the same rows, scored once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from calig.metrics.infidelity import LogitScorer, Removals, infidelity, logit_drops, normalised_infidelity, random_sets
from calig.metrics.perturbation import FloatArray, Perturbation
from components.quality.scores.table import Row, explained_function, source_of
from schemas.config import QualityConfig

#: Orders by method, `orders content`, of one row.
Orders = dict[str, FloatArray]


def infidelities(
    rows: Sequence[Row],
    orders: Sequence[Orders],
    *,
    labels: Sequence[str],
    logits: LogitScorer,
    config: QualityConfig,
    perturbation: Perturbation,
) -> list[dict[str, float]]:
    """Per row its columns `infidelity`, `infidelity_normalised` and the latter for each control of `orders`.

    A control's own infidelity is not listed: several controls are no logits, and only the normalised form compares them.
    """
    removals = [_removals(row, labels, config, perturbation) for row in rows]
    drops = logit_drops(removals, logits=logits)
    return [dict(_columns(o, r, d)) for o, r, d in zip(orders, removals, drops, strict=True)]


def _removals(row: Row, labels: Sequence[str], config: QualityConfig, perturbation: Perturbation) -> Removals:
    source = source_of(row, perturbation)
    sets = random_sets(source.n_content, draws=config.infidelity_draws, seed=config.seed, row=row["row"])
    return Removals(source, sets, explained_function(row, labels))


def _columns(orders: Orders, removals: Removals, drops: FloatArray) -> Iterator[tuple[str, float]]:
    for method, attributions in orders.items():
        given = attributions, removals.removed, drops
        if method == "ca_lig":
            yield "infidelity", float(infidelity(*given).mean())
        suffix = "" if method == "ca_lig" else f"_{method}"
        yield f"infidelity_normalised{suffix}", float(normalised_infidelity(*given).mean())

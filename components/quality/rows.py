"""One scored line per row of the attribution table: CA-LIG and every control, on the same rows, by the same perturbation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calig.metrics.faithfulness import (
    AttributedRow,
    area_under_curve,
    comprehensiveness,
    log_odds,
    normalised_pair,
    perturbation_curves,
    sufficiency,
)
from calig.metrics.perturbation import FloatArray, Scorer, curve_points
from calig.metrics.statistics import random_attributions
from components.quality.table import FACTS, Row, attributions_of, explained_class, facts_of, is_scorable, read_rows, source_of
from schemas.config import QualityConfig

if TYPE_CHECKING:
    import pandas as pd

CA_LIG = "ca_lig"

#: Enough for full batches of every length, few enough that progress is seen and memory stays small.
_ROWS_AT_ONCE = 32

CONTROLS = ("random", "plain_ig", "layer_ig_mean", "input_x_gradient", "attention_rollout", "attention_gradient_rollout")
METHODS = (CA_LIG, *CONTROLS)


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """Every row that has an attribution.

    frame: one line per row (columns: schemas/expectations/default.yaml). curves: `rows methods 2 points`, deletion and
    insertion by method as in METHODS; NaN where a row could not be scored. n_skipped: rows without an attribution.
    """

    frame: pd.DataFrame
    curves: FloatArray
    n_skipped: int


def column_names(config: QualityConfig, segments: Sequence[str]) -> list[str]:
    """The columns that the table will have for data with these segment columns: known before any row is."""
    return list(_frame([], _unscored(0, config), config, segments).columns)


def score_rows(
    table_paths: Sequence[Path],
    *,
    scorer: Scorer,
    config: QualityConfig,
    replacement_id: int | None,
    progress: Callable[[int], None] | None = None,
) -> ScoredRows:
    """Score every row of the table; `progress` gets the number of rows just done."""
    facts: list[dict[str, Any]] = []
    curves = [_unscored(0, config)]
    segments: dict[str, None] = {}
    n_skipped = 0
    for rows in read_rows(table_paths):
        segments |= dict.fromkeys(name for row in rows for name in row["segments"] or ())
        explained = [row for row in rows if row["problem"] is None]
        facts.extend(facts_of(row) for row in explained)
        n_skipped += len(rows) - len(explained)
        for start in range(0, len(explained), _ROWS_AT_ONCE):
            part = explained[start : start + _ROWS_AT_ONCE]
            curves.append(_curves(part, scorer, config, replacement_id))
            if progress is not None:
                progress(len(part))
    measured = np.concatenate(curves)
    return ScoredRows(_frame(facts, measured, config, segments), measured, n_skipped)


def _unscored(n_rows: int, config: QualityConfig) -> FloatArray:
    return np.full((n_rows, len(METHODS), 2, len(curve_points(config.fractions))), np.nan)


def _curves(rows: list[Row], scorer: Scorer, config: QualityConfig, replacement_id: int | None) -> FloatArray:
    """Curves `rows methods 2 points`; NaN for rows that cannot be scored and for controls that a row lacks."""
    places = [place for place, row in enumerate(rows) if is_scorable(row)]
    methods = [_methods(rows[place], config) for place in places]
    attributed = [
        AttributedRow(source_of(rows[place], replacement_id), np.concatenate([*orders.values()]), explained_class(rows[place]))
        for place, orders in zip(places, methods, strict=True)
    ]
    result = _unscored(len(rows), config)
    scored = perturbation_curves(attributed, fractions=config.fractions, scorer=scorer)
    for place, orders, curves in zip(places, methods, scored, strict=True):
        starts = np.cumsum([len(of_method) for of_method in orders.values()])[:-1]
        for method, part in zip(orders, np.split(curves, starts), strict=True):
            result[place, METHODS.index(method)] = part.mean(axis=0)
    return result


def _methods(row: Row, config: QualityConfig) -> dict[str, FloatArray]:
    """Attributions `orders content` by method: one order each, several for the random control, averaged later."""
    n_content = int(np.sum(row["content"]))
    random = random_attributions(n_content, draws=config.random_draws, seed=config.seed, row=row["row"])
    return {**attributions_of(row), "random": random}


def _frame(facts: list[dict[str, Any]], curves: FloatArray, config: QualityConfig, segments: Iterable[str]) -> pd.DataFrame:
    """Facts and measures side by side."""
    import pandas as pd

    columns = [*FACTS, *(f"segment_{name}" for name in segments)]
    known = pd.DataFrame(facts, columns=columns, index=range(len(facts)))
    return pd.concat([known, pd.DataFrame(_measures(curves, config), index=known.index)], axis=1)


def _measures(curves: FloatArray, config: QualityConfig) -> dict[str, FloatArray]:
    """Measures by column name; CA-LIG's bear no suffix, a control's bear its name."""
    areas = area_under_curve(curves, fractions=config.fractions)
    columns = {"scored_probability": curves[:, 0, 0, 0], "deletion_auc": areas[:, 0, 0], "insertion_auc": areas[:, 0, 1]}
    removed, kept = comprehensiveness(curves), sufficiency(curves)
    columns["log_odds"] = log_odds(curves)[:, 0]
    columns["normalised_sufficiency"], columns["normalised_comprehensiveness"] = (m[:, 0] for m in normalised_pair(curves))
    for index, method in enumerate(METHODS):
        suffix = "" if method == CA_LIG else f"_{method}"
        columns[f"comprehensiveness{suffix}"] = removed[:, index]
        columns[f"sufficiency{suffix}"] = kept[:, index]
        columns[f"difference{suffix}"] = removed[:, index] - kept[:, index]
    for control in CONTROLS:
        columns[f"margin_over_{control}"] = columns["difference"] - columns[f"difference_{control}"]
    return columns

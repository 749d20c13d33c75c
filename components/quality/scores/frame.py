"""The table of scored rows: its methods, its columns, and the measures in them, those of image patches too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from calig.metrics.faithfulness import (
    AttributedSource,
    area_under_curve,
    comprehensiveness,
    log_odds,
    normalised_pair,
    perturbation_aucs,
    sufficiency,
)
from calig.metrics.perturbation import FloatArray, Perturbation, Scorer, curve_points
from calig.metrics.statistics import random_attributions
from components.quality.scores.falsification import findings_of
from components.quality.scores.table import FACTS, Row, attributions_of, explained_class, source_of
from schemas.config import QualityConfig

if TYPE_CHECKING:
    import pandas as pd


#: Columns of the per-row table, in the order of `patch_areas`.
PATCH_COLUMNS = (
    *("positive_perturbation_auc", "negative_perturbation_auc"),
    *("positive_perturbation_auc_random", "negative_perturbation_auc_random"),
)


def patch_areas(
    rows: list[Row],
    wanted: Sequence[bool],
    *,
    labels: Sequence[str],
    scorer: Scorer,
    seed: int,
    perturbation: Perturbation,
) -> FloatArray:
    """`rows columns`, columns as in PATCH_COLUMNS; NaN for texts and for rows that are not `wanted`."""
    result = np.full((len(rows), len(PATCH_COLUMNS)), np.nan)
    places = [place for place, row in enumerate(rows) if row["image"] is not None and wanted[place]]
    attributed = [
        AttributedSource(source_of(rows[place], perturbation), _orders(rows[place], seed), explained_class(rows[place], labels))
        for place in places
    ]
    for place, areas in zip(places, perturbation_aucs(attributed, scorer=scorer), strict=True):
        result[place] = areas.reshape(-1)
    return result


def _orders(row: Row, seed: int) -> FloatArray:
    """`2 content`: CA-LIG's order and the first one of the random control."""
    own = attributions_of(row)["ca_lig"]
    return np.concatenate([own, random_attributions(own.shape[1], draws=1, seed=seed, row=row["row"])])


CA_LIG = "ca_lig"
RANDOM = "random"
CONTROLS = (RANDOM, "plain_ig", "layer_ig_mean", "input_x_gradient", "attention_rollout", "attention_gradient_rollout")
METHODS = (CA_LIG, *CONTROLS)
#: Columns that speak of classes or of probabilities: a regression has neither.
OF_CLASSES = frozenset({"label", "predicted", "probability", "log_odds", *PATCH_COLUMNS})
#: What the columns of segments begin with.
SEGMENT = "segment_"
INFIDELITIES = ("infidelity", "infidelity_normalised", *(f"infidelity_normalised_{control}" for control in CONTROLS))


class Table(Protocol):
    """The table of scored rows as metrics and checks read it: a DataFrame, or a `ScoredTable`."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""

    def __len__(self) -> int: ...

    def __getitem__(self, asked: Any) -> Any: ...


def column_names(config: QualityConfig, segments: Sequence[str]) -> list[str]:
    """The columns that the table will have for data with these segment columns: known before any row is."""
    measures = {**measures_of(unscored(0, config), config), **dict.fromkeys(PATCH_COLUMNS, np.empty(0))}
    return [*frame_of([], segments, measures, []).columns, *findings_of([], None)]


def unscored(n_rows: int, config: QualityConfig) -> FloatArray:
    """Curves `rows methods 2 points` of rows that nothing is known of: NaN."""
    return np.full((n_rows, len(METHODS), 2, len(curve_points(config.fractions))), np.nan)


def frame_of(
    facts: list[dict[str, Any]], segments: Iterable[str], measures: dict[str, FloatArray], fits: list[dict[str, float]]
) -> pd.DataFrame:
    """Facts and measures side by side."""
    import pandas as pd

    columns = [*FACTS, *(f"{SEGMENT}{name}" for name in segments)]
    known = pd.DataFrame(facts, columns=columns, index=range(len(facts)))
    fit = pd.DataFrame(fits, columns=INFIDELITIES, index=known.index, dtype=np.float64)
    return pd.concat([known, pd.DataFrame(measures, index=known.index), fit], axis=1)


def measures_of(
    curves: FloatArray, config: QualityConfig, problem_type: str = "single_label_classification"
) -> dict[str, FloatArray]:
    """Measures by column name; CA-LIG's bear no suffix, a control's bear its name. Outputs of a regression have no odds: NaN."""
    areas = area_under_curve(curves, fractions=config.fractions)
    columns = {"scored_probability": curves[:, 0, 0, 0], "deletion_auc": areas[:, 0, 0], "insertion_auc": areas[:, 0, 1]}
    removed, kept = comprehensiveness(curves), sufficiency(curves)
    columns["log_odds"] = np.full(len(curves), np.nan) if problem_type == "regression" else log_odds(curves)[:, 0]
    columns["normalised_sufficiency"], columns["normalised_comprehensiveness"] = (m[:, 0] for m in normalised_pair(curves))
    for index, method in enumerate(METHODS):
        suffix = "" if method == CA_LIG else f"_{method}"
        columns[f"comprehensiveness{suffix}"] = removed[:, index]
        columns[f"sufficiency{suffix}"] = kept[:, index]
        columns[f"difference{suffix}"] = removed[:, index] - kept[:, index]
    for control in CONTROLS:
        columns[f"margin_over_{control}"] = columns["difference"] - columns[f"difference_{control}"]
    return columns

"""One scored line per row of the attribution table: CA-LIG and every control, on the same rows, by the same perturbation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from calig.metrics.faithfulness import AttributedSource, perturbation_curves
from calig.metrics.infidelity import LogitScorer, Removals, infidelity, logit_drops, normalised_infidelity, random_sets
from calig.metrics.perturbation import BoolArray, FloatArray, IntArray, Perturbation, PerturbedInput, Scorer
from calig.metrics.statistics import random_attributions
from components.quality.scores.frame import CA_LIG, METHODS, PATCH_COLUMNS, RANDOM, frame_of, measures_of, patch_areas, unscored
from components.quality.scores.table import (
    Row,
    attributions_of,
    explained_class,
    explained_function,
    facts_of,
    is_scorable,
    source_of,
)
from components.quality.scores.trust import checked, problem_of
from components.table.reader import iter_batches, iter_parts
from schemas.config import QualityConfig
from schemas.quality import ScorerRecord
from schemas.shards import DrawnRows

if TYPE_CHECKING:
    import pandas as pd


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


#: Enough for full batches of every length, few enough that progress is seen and memory stays small.
_ROWS_AT_ONCE = 16

# Keeps the draw of rows apart from the draw of those whose maps the run tries to falsify.
_ROWS_STREAM = 3


class ModelScorer(Protocol):
    """The model on perturbed inputs: called, it gives answers `inputs classes`, see `answers_of`; `logits` are behind them."""

    def __call__(self, inputs: Sequence[PerturbedInput]) -> FloatArray:
        """Probabilities `inputs classes`; of a regression its outputs, `inputs 1`."""

    def logits(self, inputs: Sequence[PerturbedInput]) -> FloatArray:
        """Logits `inputs classes`."""


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """Every row of a shard that has an attribution.

    frame: one line per row (columns: schemas/expectations/default.yaml, without those of the attempt to falsify). compared: which
    of them the controls are measured on. curves: `compared methods 2 points`, deletion and insertion by method as in METHODS;
    NaN where a row has no such control. segments: names of the segment columns. n_skipped: rows without an attribution.
    problem_type: what the model's logits mean.
    """

    frame: pd.DataFrame
    compared: BoolArray
    curves: FloatArray
    segments: tuple[str, ...]
    n_skipped: int
    problem_type: str = "single_label_classification"


@dataclass(frozen=True, eq=False)
class Scoring:
    """By what rows are scored.

    labels: the model's classes in logit order. scorer, record: the model on perturbed inputs, and what runs it. config: settings,
    of which those of the scoring matter. perturbation: how content is removed.
    """

    labels: Sequence[str]
    scorer: ModelScorer
    record: ScorerRecord
    config: QualityConfig
    perturbation: Perturbation


def score_rows(table: Path, drawn: DrawnRows, by: Scoring, progress: Callable[[int], None] | None = None) -> ScoredRows:
    """Score the shard's rows that are `drawn`, and the controls on those of them that are drawn for that.

    `progress` gets the number of rows just done.
    """
    labels, scorer, config, perturbation = by.labels, by.scorer, by.config, by.perturbation
    facts: list[dict[str, Any]] = []
    curves = [unscored(0, config)]
    measures = [measures_of(curves[0], config)]
    fits: list[dict[str, float]] = []
    areas = [np.empty((0, len(PATCH_COLUMNS)))]
    segments: dict[str, None] = {}
    of_controls: list[bool] = []
    n_skipped = 0
    trusted, problem_type, sample = checked(scorer, len(labels)), problem_of(scorer), _Sample.of(drawn)
    for rows in iter_parts([table], Row, rows=_ROWS_AT_ONCE):
        segments |= dict.fromkeys(name for row in rows for name in row["segments"] or ())
        explained = [row for row in rows if row["problem"] is None]
        facts.extend(facts_of(row, labels, problem_type=problem_type) for row in explained)
        n_skipped += len(rows) - len(explained)
        wanted = [is_scorable(row) and sample.scores(row) for row in explained]
        compared = [known and sample.compares(row) for row, known in zip(explained, wanted, strict=True)]
        given = zip(explained, wanted, compared, strict=True)
        orders = [_methods(row, fully, config) if scored else {} for row, scored, fully in given]
        measured = _curves(explained, orders, labels, trusted, config, perturbation)
        measures.append(measures_of(measured, config, problem_type))
        curves.append(measured[np.array(compared, dtype=bool)])
        of_controls.extend(compared)
        to_fit = [known if fully else {} for known, fully in zip(orders, compared, strict=True)]
        fits.extend(_infidelities(explained, to_fit, labels, scorer, config, perturbation))
        areas.append(_patch_areas(explained, wanted, labels, trusted, config, perturbation, problem_type))
        if progress is not None:
            progress(len(rows))
    columns = {name: np.concatenate([part[name] for part in measures]) for name in measures[0]}
    patches = dict(zip(PATCH_COLUMNS, np.concatenate(areas).T, strict=True))
    frame = frame_of(facts, segments, columns | patches, fits)
    return ScoredRows(frame, np.array(of_controls, dtype=bool), np.concatenate(curves), tuple(segments), n_skipped, problem_type)


def _patch_areas(
    rows: list[Row],
    wanted: Sequence[bool],
    labels: Sequence[str],
    scorer: Scorer,
    config: QualityConfig,
    perturbation: Perturbation,
    problem_type: str,
) -> FloatArray:
    """How long the explained class stays the most probable; NaN of regressions, which have no other one."""
    if problem_type == "regression":
        return np.full((len(rows), len(PATCH_COLUMNS)), np.nan)
    return patch_areas(rows, wanted, labels=labels, scorer=scorer, seed=config.seed, perturbation=perturbation)


@dataclass(frozen=True)
class _Sample:
    """Numbers of the rows to score and, among them, of those to measure the controls on; None: all."""

    scored: frozenset[int] | None
    compared: frozenset[int] | None

    @classmethod
    def of(cls, drawn: DrawnRows) -> _Sample:
        return cls(*(None if numbers is None else frozenset(numbers) for numbers in (drawn.scored, drawn.compared)))

    def scores(self, row: Row) -> bool:
        return self.scored is None or row["row"] in self.scored

    def compares(self, row: Row) -> bool:
        return self.compared is None or row["row"] in self.compared


def draw_rows(table_paths: Sequence[Path], config: QualityConfig) -> list[DrawnRows]:
    """By table, the first rows of one seeded order of the explained ones: it depends on seed and rows, not on shards.

    Eight bytes a row are held, and as many for the order.
    """
    sizes = (config.scored_rows, config.control_rows)
    if sizes == (None, None):
        return [DrawnRows() for _ in table_paths]
    tables = [_explained_rows(path) for path in table_paths]
    numbers = np.concatenate(tables)
    order = np.random.default_rng([config.seed, _ROWS_STREAM]).permutation(len(numbers))
    ends = np.cumsum([len(rows) for rows in tables])[:-1]
    scored, compared = (_first(order, size, numbers, ends) for size in sizes)
    return [DrawnRows(scored=some, compared=few) for some, few in zip(scored, compared, strict=True)]


def _first(order: IntArray, size: int | None, numbers: IntArray, ends: IntArray) -> list[tuple[int, ...] | None]:
    """By table the numbers of those rows that are among the first `size` places of `order`; None: of all."""
    if size is None:
        return [None] * (len(ends) + 1)
    chosen = np.zeros(len(numbers), dtype=bool)
    chosen[order[:size]] = True
    pairs = zip(np.split(numbers, ends), np.split(chosen, ends), strict=True)
    return [tuple(rows[wanted].tolist()) for rows, wanted in pairs]


def _explained_rows(table: Path) -> IntArray:
    parts = [batch["row"].to_numpy() for batch in iter_batches([table], ["row"], explained=True)]
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])


def _curves(
    rows: list[Row],
    orders: list[Orders],
    labels: Sequence[str],
    scorer: Scorer,
    config: QualityConfig,
    perturbation: Perturbation,
) -> FloatArray:
    """Curves `rows methods 2 points`; NaN for rows without orders and for controls that a row lacks."""
    places = [place for place, known in enumerate(orders) if known]
    methods = [orders[place] for place in places]
    attributed = [
        AttributedSource(
            source_of(rows[place], perturbation), np.concatenate([*known.values()]), explained_class(rows[place], labels)
        )
        for place, known in zip(places, methods, strict=True)
    ]
    result = unscored(len(rows), config)
    scored = perturbation_curves(attributed, fractions=config.fractions, scorer=scorer)
    for place, known, curves in zip(places, methods, scored, strict=True):
        starts = np.cumsum([len(of_method) for of_method in known.values()])[:-1]
        for method, part in zip(known, np.split(curves, starts), strict=True):
            result[place, METHODS.index(method)] = part.mean(axis=0)
    return result


def _infidelities(
    rows: list[Row],
    orders: list[Orders],
    labels: Sequence[str],
    scorer: ModelScorer,
    config: QualityConfig,
    perturbation: Perturbation,
) -> list[dict[str, float]]:
    """Infidelity columns per row; none for rows without orders."""
    places = [place for place, known in enumerate(orders) if known]
    known_rows, known_orders = [rows[place] for place in places], [orders[place] for place in places]
    found = infidelities(known_rows, known_orders, labels=labels, logits=scorer.logits, config=config, perturbation=perturbation)
    by_place = dict(zip(places, found, strict=True))
    return [by_place.get(place, {}) for place in range(len(rows))]


def _methods(row: Row, compared: bool, config: QualityConfig) -> Orders:
    """Attributions `orders content` by method: one order each, several for the random control, averaged later.

    A row that is not `compared` has CA-LIG's order and the random ones. A single token has one order: no control could differ,
    and a margin of 0 would say that CA-LIG is no better than chance.
    """
    n_content = int(np.sum(row["content"]))
    known = attributions_of(row)
    own = {CA_LIG: known[CA_LIG]}
    if n_content < 2:
        return own
    random = random_attributions(n_content, draws=config.random_draws, seed=config.seed, row=row["row"])
    return {**(known if compared else own), RANDOM: random}

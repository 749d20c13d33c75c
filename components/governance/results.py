"""How the model itself did on the explained rows: accuracy of classes, of every label, or the error of a regression."""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import numpy as np
from scipy.stats import binomtest

from calig.metrics.perturbation import FloatArray
from components.common.intervals import FEWEST, mean_and_interval
from components.common.outputs import typical_deviation
from components.table.gold import Decisions, decided, decisions_of, error_of, output_of, own_id
from schemas.base import Interval
from schemas.config import QualityConfig
from schemas.governance import LabelResults, ModelResults, Outputs, RegressionResults

Row = Mapping[str, Any]


def model_results(explained: Iterable[Row], config: QualityConfig) -> ModelResults:
    """Results of rows of the attribution table that have an attribution, read once and not kept.

    A row of the file counts once: rows that stand for its labels follow each other, and the last of them counts.
    """
    every, own = _Rows(), _OwnRows()
    for _, rows in groupby(map(every.count, explained), own_id):
        own.add(deque(rows, maxlen=1)[0])
    return ModelResults(
        accuracy=own.right / own.made if own.made else None,
        accuracy_interval=_accuracy_interval(own, config),
        n_labelled=len(own.errors) if own.outputs else len(own.shares),
        labels=tuple(own.labels.results()),
        regression=_regression(np.array(own.errors), np.array(own.gold), config),
        outputs=_outputs(np.array(own.outputs)),
        unconverged=every.unconverged,
        predictions={} if own.outputs else dict(sorted(every.predictions.items())),
    )


class _Rows:
    """Counts of all explained rows."""

    def __init__(self) -> None:
        self.unconverged, self.predictions = 0, Counter[str]()

    def count(self, row: Row) -> Row:
        """The row itself, counted."""
        self.unconverged += not row["converged"]
        self.predictions[row["predicted"]] += 1
        return row


class _OwnRows:
    """Sums over rows of the file; of each only numbers are kept: its share of right decisions, or its output, error and gold."""

    def __init__(self) -> None:
        self.right = self.made = 0
        self.several, self.labels = False, _Labels()
        self.shares, self.outputs, self.errors, self.gold = (array("d") for _ in range(4))

    def add(self, row: Row) -> None:
        if (output := output_of(row)) is not None:
            self.outputs.append(output)
        if (error := error_of(row)) is not None:
            self.errors.append(error)
            self.gold.append(row["gold_value"])
        if (found := decisions_of(row)) is not None:
            self._decided(found)
        if row["gold_labels"] is not None:
            self.labels.add(row)

    def _decided(self, found: Decisions) -> None:
        self.right += found.right
        self.made += found.made
        self.several = self.several or found.made > 1
        self.shares.append(found.right / found.made)


class _Labels:
    """Counts of a multi-label model's decisions, by label; the first row names the labels."""

    def __init__(self) -> None:
        self.n = 0
        self._given, self._gold, self._both, self._right = (Counter[str]() for _ in range(4))
        self._names: list[str] = []

    def add(self, row: Row) -> None:
        if (answers := decided(row)) is None:
            return
        self._names = self._names or list(answers)
        self.n += 1
        gold = set(row["gold_labels"])
        for name in self._names:
            self._given[name] += answers[name]
            self._gold[name] += name in gold
            self._both[name] += answers[name] and name in gold
            self._right[name] += answers[name] == (name in gold)

    def results(self) -> list[LabelResults]:
        return [self._result(name) for name in self._names]

    def _result(self, name: str) -> LabelResults:
        n_given, n_gold, both = self._given[name], self._gold[name], self._both[name]
        return LabelResults(
            label=name,
            n=self.n,
            n_gold=n_gold,
            accuracy=self._right[name] / self.n,
            precision=both / n_given if n_given else None,
            recall=both / n_gold if n_gold else None,
        )


def _accuracy_interval(own: _OwnRows, config: QualityConfig) -> Interval | None:
    """Wilson's interval of a share. Several decisions of a row are not independent: then rows are drawn, not decisions."""
    if not own.made:
        return None
    if own.several:
        return mean_and_interval(np.array(own.shares), config)[1] if len(own.shares) >= FEWEST else None
    found = binomtest(own.right, len(own.shares)).proportion_ci(config.confidence, method="wilson")
    return Interval(low=float(found.low), high=float(found.high), level=config.confidence)


def _regression(errors: FloatArray, gold: FloatArray, config: QualityConfig) -> RegressionResults | None:
    """None without a row whose number is known."""
    if not errors.size:
        return None
    mean, interval = mean_and_interval(np.abs(errors), config)
    spread = float(((gold - gold.mean()) ** 2).sum())
    return RegressionResults(
        mean_absolute_error=mean,
        mean_absolute_error_interval=interval if len(errors) >= FEWEST else None,
        root_mean_squared_error=float(np.sqrt((errors**2).mean())),
        r_squared=1.0 - float((errors**2).sum()) / spread if spread > 0 else None,
        n=len(errors),
    )


def _outputs(outputs: FloatArray) -> Outputs | None:
    """None for classes, and for outputs none of which is a number."""
    known = outputs[np.isfinite(outputs)]
    if not known.size:
        return None
    least, low, median, high, largest = np.quantile(known, [0.0, 0.05, 0.5, 0.95, 1.0]).tolist()
    return Outputs(
        least=least,
        percentile_5=low,
        median=median,
        percentile_95=high,
        largest=largest,
        typical_deviation=typical_deviation(known),
    )

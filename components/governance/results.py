"""How the model itself did on the explained rows: accuracy of classes, of every label, or the error of a regression."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest

from components.common.intervals import FEWEST, mean_and_interval
from components.common.outputs import typical_deviation
from components.table.gold import Decisions, decided, decisions_of, error_of, output_of, own_id
from schemas.base import Interval
from schemas.config import QualityConfig
from schemas.governance import LabelResults, ModelResults, Outputs, RegressionResults

Row = Mapping[str, Any]


def model_results(explained: Sequence[Row], config: QualityConfig) -> ModelResults:
    """Results of rows of the attribution table that have an attribution; a row of the file counts once."""
    rows = list({own_id(row): row for row in explained}.values())
    outputs = [output for row in rows if (output := output_of(row)) is not None]
    made = [found for row in rows if (found := decisions_of(row)) is not None]
    return ModelResults(
        accuracy=sum(one.right for one in made) / sum(one.made for one in made) if made else None,
        accuracy_interval=_accuracy_interval(made, config),
        n_labelled=sum(error_of(row) is not None for row in rows) if outputs else len(made),
        labels=tuple(_labels([row for row in rows if row["gold_labels"] is not None])),
        regression=_regression(rows, config),
        outputs=_outputs(outputs),
        unconverged=sum(not row["converged"] for row in explained),
        predictions={} if outputs else dict(sorted(Counter(row["predicted"] for row in explained).items())),
    )


def _accuracy_interval(made: Sequence[Decisions], config: QualityConfig) -> Interval | None:
    """Wilson's interval of a share. Several decisions of a row are not independent: then rows are drawn, not decisions."""
    if not made:
        return None
    if max(one.made for one in made) > 1:
        shares = np.array([one.right / one.made for one in made])
        return mean_and_interval(shares, config)[1] if len(shares) >= FEWEST else None
    found = binomtest(sum(one.right for one in made), len(made)).proportion_ci(config.confidence, method="wilson")
    return Interval(low=float(found.low), high=float(found.high), level=config.confidence)


def _labels(rows: Sequence[Row]) -> list[LabelResults]:
    """One entry per label of a multi-label model."""
    known = [(answers, set(row["gold_labels"])) for row in rows if (answers := decided(row)) is not None]
    names = list(known[0][0]) if known else []
    return [_label(name, [(answers[name], name in gold) for answers, gold in known]) for name in names]


def _label(name: str, pairs: Sequence[tuple[bool, bool]]) -> LabelResults:
    n_given, n_gold = sum(given for given, _ in pairs), sum(gold for _, gold in pairs)
    both = sum(given and gold for given, gold in pairs)
    return LabelResults(
        label=name,
        n=len(pairs),
        n_gold=n_gold,
        accuracy=sum(given == gold for given, gold in pairs) / len(pairs),
        precision=both / n_given if n_given else None,
        recall=both / n_gold if n_gold else None,
    )


def _regression(rows: Sequence[Row], config: QualityConfig) -> RegressionResults | None:
    """None without a row whose number is known."""
    pairs = [(error, row["gold_value"]) for row in rows if (error := error_of(row)) is not None]
    if not pairs:
        return None
    errors, gold = np.array(pairs, dtype=float).T
    mean, interval = mean_and_interval(np.abs(errors), config)
    spread = float(((gold - gold.mean()) ** 2).sum())
    return RegressionResults(
        mean_absolute_error=mean,
        mean_absolute_error_interval=interval if len(errors) >= FEWEST else None,
        root_mean_squared_error=float(np.sqrt((errors**2).mean())),
        r_squared=1.0 - float((errors**2).sum()) / spread if spread > 0 else None,
        n=len(errors),
    )


def _outputs(outputs: Sequence[float]) -> Outputs | None:
    """None for classes, and for outputs none of which is a number."""
    known = np.array(outputs, dtype=float)
    known = known[np.isfinite(known)]
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

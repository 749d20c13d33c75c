"""Checks of what is judged: enough rows explained, and a scorer that runs the model that was explained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from calig.metrics.perturbation import FloatArray, PerturbedInput, Scorer
from components.common.errors import CouldNotRunError
from schemas.base import CheckVerdict, Severity
from schemas.config import QualityConfig
from schemas.quality import Check

if TYPE_CHECKING:
    import pandas as pd


def too_few_explained(n_explained: int, n_skipped: int, config: QualityConfig) -> tuple[Check, ...]:
    """An inconclusive check when the explained share of the rows is below `quality.min_explained`; else none.

    The suite judges rows that have an attribution. Without this, a data set of which nearly every picture is missing would
    pass by the few that are there.
    """
    n_rows = n_explained + n_skipped
    if n_rows == 0 or n_explained >= config.min_explained * n_rows:
        return ()
    return _inconclusive(
        "most rows explained",
        observed=n_explained / n_rows,
        requirement=f"at least {config.min_explained:.0%} of the rows have an attribution",
        explanation=f"{n_skipped} of {n_rows} rows could not be explained, so the others say little about the version. Mend the "
        "rows (their problems are in the report), or lower quality.min_explained.",
    )


#: Attributions in bfloat16 differ by less; a larger gap means that two different models were run.
_PROBABILITY_GAP = 0.05
#: A few rows may differ by rounding on the edge; a mixed-up class order or another model moves most rows.
_ROWS_ALLOWED = 0.1
#: Softmax in float32.
_SUM_TOLERANCE = 1e-4


def is_multi_label(scorer: object) -> bool:
    """Whether the scorer's probabilities are of labels that may be true together; scorers that do not say so have one label."""
    return bool(getattr(scorer, "multi_label", False))


def checked(scorer: Scorer, n_classes: int) -> Scorer:
    """`scorer` as it is, but CouldNotRunError unless it gives probabilities `inputs classes`, finite, and, of single-label
    models, each row summing to one."""
    rows_sum_to_one = not is_multi_label(scorer)

    def score(inputs: Sequence[PerturbedInput]) -> FloatArray:
        probabilities = scorer(inputs)
        expected = (len(inputs), n_classes)
        if np.shape(probabilities) != expected:
            raise _unusable("a wrong shape", np.shape(probabilities), f"{expected[0]} inputs × {expected[1]} classes")
        if not np.isfinite(probabilities).all():
            raise _unusable("NaN or infinite probabilities", None, "numbers from 0 to 1")
        gap = np.abs(probabilities.sum(axis=1) - 1).max(initial=0.0) if rows_sum_to_one else 0.0
        if (probabilities < 0).any() or (probabilities > 1 + _SUM_TOLERANCE).any() or gap > _SUM_TOLERANCE:
            allowed = "numbers from 0 to 1" + (" that sum to 1 over the classes" if rows_sum_to_one else "")
            raise _unusable("what are no probabilities", probabilities[0], allowed)
        return probabilities

    return score


def gaps(frame: pd.DataFrame) -> FloatArray:
    """|p of the scorer − p of the attribution run| of every row that has both, for the explained class and the whole input."""
    return np.asarray((frame["scored_probability"] - frame["explained_probability"]).abs().dropna(), dtype=np.float64)


def disagrees(frame: pd.DataFrame) -> bool:
    """Whether any row's answer differs by more than rounding."""
    return bool(gaps(frame).max(initial=0.0) > _PROBABILITY_GAP)


def doubts(frame: pd.DataFrame) -> tuple[Check, ...]:
    """An inconclusive check when so many answers differ that the scorer cannot have run the explained model; else none."""
    beyond = gaps(frame) > _PROBABILITY_GAP
    if not beyond.any() or beyond.mean() <= _ROWS_ALLOWED:
        return ()
    return _inconclusive(
        "the scorer runs the model that was explained",
        observed=float(beyond.mean()),
        requirement=f"p differs by at most {_PROBABILITY_GAP} from the attribution run's in {1 - _ROWS_ALLOWED:.0%} of the rows",
        explanation="The scorer answers otherwise than the attribution run did: another model, or its classes in another order. "
        "Its figures say nothing about these attributions. Explain the version again.",
    )


def _inconclusive(name: str, *, observed: float, requirement: str, explanation: str) -> tuple[Check, ...]:
    """The critical check that could not be decided, as the one entry of a list of checks."""
    check = Check(
        name=name,
        expectation="none",
        verdict=CheckVerdict.INCONCLUSIVE,
        severity=Severity.CRITICAL,
        observed=observed,
        requirement=requirement,
        explanation=explanation,
    )
    return (check,)


def _unusable(problem: str, got: object, allowed: str) -> CouldNotRunError:
    return CouldNotRunError(f"the scorer of perturbed inputs gave {problem}", got=got, allowed=allowed)

"""Checks of what is judged: enough rows explained, and a scorer that runs the model that was explained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calig.metrics.perturbation import FloatArray, PerturbedInput, Scorer
from components.common.errors import CouldNotRunError
from components.common.outputs import typical_deviation
from components.quality.scores.frame import Table
from schemas.base import CheckVerdict, Severity
from schemas.config import QualityConfig
from schemas.quality import Check, ScorerRecord


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
_ANSWER_GAP = 0.05
#: Outputs of a regression that are closer than this share of their size are told apart by rounding alone, in bfloat16.
_PRECISION = 1e-2
#: A few rows may differ by rounding on the edge; a mixed-up class order or another model moves most rows.
_ROWS_ALLOWED = 0.1
#: Softmax in float32.
_SUM_TOLERANCE = 1e-4


def problem_of(scorer: object) -> str:
    """What the scorer's logits mean; scorers that do not say so have one label per input."""
    return str(getattr(scorer, "problem_type", "single_label_classification"))


def checked(scorer: Scorer, n_classes: int) -> Scorer:
    """`scorer` as it is, but CouldNotRunError unless it gives finite answers `inputs classes`: probabilities, of single-label
    models each row summing to one; of regressions any numbers."""
    numbers = problem_of(scorer) == "regression"
    rows_sum_to_one = problem_of(scorer) == "single_label_classification"

    def score(inputs: Sequence[PerturbedInput]) -> FloatArray:
        probabilities = scorer(inputs)
        expected = (len(inputs), n_classes)
        if np.shape(probabilities) != expected:
            raise _unusable("a wrong shape", np.shape(probabilities), f"{expected[0]} inputs × {expected[1]} classes")
        if not np.isfinite(probabilities).all():
            raise _unusable("NaN or infinite answers", None, "finite numbers" if numbers else "numbers from 0 to 1")
        if numbers:
            return probabilities
        gap = np.abs(probabilities.sum(axis=1) - 1).max(initial=0.0) if rows_sum_to_one else 0.0
        if (probabilities < 0).any() or (probabilities > 1 + _SUM_TOLERANCE).any() or gap > _SUM_TOLERANCE:
            allowed = "numbers from 0 to 1" + (" that sum to 1 over the classes" if rows_sum_to_one else "")
            raise _unusable("what are no probabilities", probabilities[0], allowed)
        return probabilities

    return score


def gaps(frame: Table, problem_type: str) -> FloatArray:
    """|p of the scorer − p of the attribution run| of every row that has both, for the explained class and the whole input.

    Of a regression the outputs take the place of p, in typical deviations (and no less than their precision) of the run's.
    """
    apart = np.asarray((frame["scored_probability"] - frame["explained_probability"]).abs().dropna(), dtype=np.float64)
    if problem_type != "regression" or apart.size == 0:
        return apart
    outputs = np.asarray(frame["explained_probability"].dropna(), dtype=np.float64)
    unit = max(typical_deviation(outputs), _PRECISION * float(np.abs(outputs).max()))
    return apart / unit if unit > 0 else apart


def disagrees(frame: Table, problem_type: str) -> bool:
    """Whether any row's answer differs by more than rounding."""
    return bool(gaps(frame, problem_type).max(initial=0.0) > _ANSWER_GAP)


def doubts(frame: Table, problem_type: str) -> tuple[Check, ...]:
    """An inconclusive check when so many answers differ that the scorer cannot have run the explained model; else none."""
    beyond = gaps(frame, problem_type) > _ANSWER_GAP
    answer = "the output, in typical deviations," if problem_type == "regression" else "p"
    if not beyond.any() or beyond.mean() <= _ROWS_ALLOWED:
        return ()
    return _inconclusive(
        "the scorer runs the model that was explained",
        observed=float(beyond.mean()),
        requirement=f"{answer} differs by at most {_ANSWER_GAP} from the attribution run's in {1 - _ROWS_ALLOWED:.0%} of rows",
        explanation="The scorer answers otherwise than the attribution run did: another model, or its classes in another order. "
        "Its figures say nothing about these attributions. Explain the version again.",
    )


def joint_record(records: Sequence[ScorerRecord]) -> ScorerRecord:
    """What scored several shards: ONNX Runtime only where that scored them all, and the weakest agreement with torch."""
    runtimes = sorted({record.runtime for record in records})
    gaps_found = [record.parity_max_abs for record in records if record.parity_max_abs is not None]
    return ScorerRecord(
        runtime=" and ".join(runtimes),
        providers=tuple(dict.fromkeys(provider for record in records for provider in record.providers)),
        parity_max_abs=max(gaps_found, default=None),
        parity_rows=min(record.parity_rows for record in records),
        fallback_reason=_fallback(records),
        exported_digest=", ".join(dict.fromkeys(r.exported_digest for r in records if r.exported_digest is not None)) or None,
    )


def _fallback(records: Sequence[ScorerRecord]) -> str | None:
    """Why torch scored, and in how many shards where that was not the same for all."""
    reasons = [record.fallback_reason for record in records if record.fallback_reason is not None]
    if not reasons or (len(reasons) == len(records) and len(set(reasons)) == 1):
        return reasons[0] if reasons else None
    return f"{len(reasons)} of {len(records)} shards: {'; '.join(dict.fromkeys(reasons))}"


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

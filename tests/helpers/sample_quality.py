"""A realistic quality report; with `fails`, a control beats CA-LIG, a check fails and torch scores."""

from __future__ import annotations

from typing import Literal

import numpy as np

from components.quality.suite.load import suite_digest
from schemas.base import CheckVerdict, Direction, Interval, Severity
from schemas.quality import Check, Control, Curve, Metric, QualityReport, ScorerRecord, Slice
from tests.helpers.sample_falsification import attempt


def quality(*, fails: bool) -> QualityReport:
    controls = [
        ("random", -0.246, 0.031, 0.666, False),
        ("input_x_gradient", 0.295 if not fails else 0.46, 0.07, 0.125 if not fails else -0.04, fails),
        ("plain_ig", 0.404, 0.012, 0.016, False),
        ("attention_rollout", 0.194, 0.09, 0.226, False),
    ]
    return QualityReport(
        verdict=CheckVerdict.PASS,
        suite="default",
        suite_digest=suite_digest("default"),
        metrics=_metrics(),
        controls=tuple(
            Control(
                name=name,
                comprehensiveness=c,
                sufficiency=s,
                margin=margin,
                margin_interval=around(margin, 0.021),
                beats_ca_lig=beats,
            )
            for name, c, s, margin, beats in controls
        ),
        curves=tuple(_curve(method, kind, rate) for kind in ("deletion", "insertion") for method, rate in _RATES.items()),
        checks=_checks(fails=fails),
        scorer=ScorerRecord(runtime="onnxruntime", providers=("CPUExecutionProvider",), parity_max_abs=4.8e-9, parity_rows=32)
        if not fails
        else ScorerRecord(
            runtime="torch", providers=("cpu",), fallback_reason="the ONNX export failed: unsupported operator aten::foo"
        ),
        falsification=attempt(),
        perturbation="blur" if fails else "replace",
        warnings=("Plain input_x_gradient beats CA-LIG on this model.", "Only 8 rows were explained.") if fails else (),
    )


_RATES = {"random": 1.3, "ca_lig": 7.0, "plain_ig": 6.2, "attention_rollout": 3.1}


def _curve(method: str, kind: str, rate: float) -> Curve:
    fractions = tuple(i / 10 for i in range(11))
    fall = [0.08 + 0.86 * float(np.exp(-rate * x)) for x in fractions]
    probability = fall if kind == "deletion" else [1.02 - p for p in fall]
    return Curve(
        method=method,
        kind=kind,
        fractions=fractions,
        probability=tuple(probability),
        auc=float(np.trapezoid(probability, fractions)),
    )


def _metrics() -> tuple[Metric, ...]:
    rows = [
        (
            "comprehensiveness",
            0.4312,
            Direction.HIGHER,
            "p(x) − p(x without the top tokens), mean over 1, 5, 10, 20, 50 % (ERASER)",
        ),
        ("sufficiency", 0.0107, Direction.LOWER, "p(x) − p(only the top tokens), same shares (ERASER)"),
        ("deletion_auc", 0.204, Direction.LOWER, "area under the deletion curve (Petsiuk 2018)"),
        ("completeness_residual_p95", 0.0071, Direction.LOWER, "95th percentile over rows and layers (Sundararajan 2017)"),
        ("gini_sparseness", 0.612, Direction.REPORT, "Gini coefficient of |relevance| (Quantus)"),
    ]
    metrics = [Metric(name=n, value=v, interval=around(v, 0.018), direction=d, n=160, definition=text) for n, v, d, text in rows]
    missing = Metric(
        name="plausibility_auprc", value=None, direction=Direction.HIGHER, n=0, definition="against human rationales (ERASER)"
    )
    return (*metrics, missing)


def _checks(*, fails: bool) -> tuple[Check, ...]:
    worst = CheckVerdict.FAIL if fails else CheckVerdict.PASS
    return (
        Check(
            name="margin_over_random",
            expectation="expect_column_mean_to_be_between",
            verdict=CheckVerdict.PASS,
            severity=Severity.CRITICAL,
            observed=0.645,
            requirement="lower end of the interval above 0",
            explanation="Removing what the map calls decisive must matter more than removing tokens at random.",
        ),
        Check(
            name="rows_converged",
            expectation="expect_column_mean_to_be_between",
            verdict=worst,
            severity=Severity.WARNING,
            observed=0.944,
            requirement="at least 0.9" if not fails else "at least 0.99",
            explanation="Rows whose integral did not converge; raise max_points when there are too many.",
        ),
        Check(
            name="plausibility",
            expectation="expect_column_mean_to_be_between",
            verdict=CheckVerdict.NOT_APPLICABLE,
            severity=Severity.INFO,
            observed=None,
            requirement="needs human rationales",
        ),
        *(_slice("class", value, n, low) for value, n, low in _classes(fails=fails)),
        *(_slice("control", name, 160, low) for name, low in _BOUNDS.items()),
    )


#: Upper ends of the intervals of the margins over these controls.
_BOUNDS = {"random": 0.687, "input_x_gradient": 0.146, "attention_rollout": 0.247}


def _classes(*, fails: bool) -> list[tuple[str, int, float]]:
    """Class, rows, lower end of the margin's interval: two classes, or the 40 of a larger model of which a few fail."""
    if not fails:
        return [("NEG", 78, 0.61), ("POS", 82, 0.58)]
    return [(f"shape_{i:02d}", 3 + 7 * i, 0.28 - 0.11 * (i % 4)) for i in range(40)]


def _slice(by: Literal["class", "control"], value: str, n: int, bound: float) -> Check:
    group = "better than random by class" if by == "class" else "not beaten by a simpler explanation"
    judged = n >= 30
    return Check(
        name=f"{group}: {value}",
        expectation="expect_column_mean_lower_bound_to_be_above",
        verdict=CheckVerdict.INCONCLUSIVE if not judged else CheckVerdict.PASS if bound > 0 else CheckVerdict.FAIL,
        severity=Severity.WARNING,
        observed=bound if judged else f"not judged: {n} rows, fewer than 30",
        requirement="95 % interval of the mean of margin_over_random above 0.0"
        if by == "class"
        else f"95 % interval of the mean of margin_over_{value} not below 0.0",
        explanation="For this class it is not shown that CA-LIG names the decisive tokens better than chance does.",
        slice=Slice(group=group, by=by, value=value, n=n),
    )


def around(value: float, half: float) -> Interval:
    return Interval(low=value - half, high=value + half)

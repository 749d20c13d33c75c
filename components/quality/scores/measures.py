"""The metrics that are means over rows: name, column, direction and definition of each. Data for `measures.py`."""

from __future__ import annotations

import numpy as np

from calig.metrics.faithfulness import area_under_curve
from calig.metrics.perturbation import FloatArray, curve_points
from components.common.intervals import FEWEST, MIN_ROWS, mean_and_interval
from components.quality.scores.frame import CONTROLS, METHODS, OF_CLASSES, Table
from components.quality.scores.scored_table import ScoredTable
from schemas.base import Direction
from schemas.config import QualityConfig
from schemas.quality import Control, Curve, Metric

_P = "p: probability of the explained class, fixed before anything is removed"
_OUTPUT = "p: the output of the regression, in its own unit"

#: Name, column of the per-row table, direction, definition of each metric that is a mean over rows.
MEANS: tuple[tuple[str, str, Direction, str], ...] = (
    ("unconverged share", "unconverged", Direction.LOWER, "share of rows with a layer beyond the completeness tolerance"),
    ("coverage", "coverage", Direction.HIGHER, "share of the input's tokens that were read and explained, mean over rows"),
    ("truncated share", "truncated", Direction.LOWER, "share of rows cut at the model's limit"),
    (
        "comprehensiveness",
        "comprehensiveness",
        Direction.HIGHER,
        f"p(x) − p(x without the top k), mean over the fractions (AOPC; DeYoung et al. 2020); {_P}",
    ),
    (
        "sufficiency",
        "sufficiency",
        Direction.LOWER,
        f"p(x) − p(only the top k), mean over the fractions (AOPC; DeYoung et al. 2020); {_P}",
    ),
    ("difference", "difference", Direction.HIGHER, "comprehensiveness − sufficiency"),
    (
        "deletion AUC",
        "deletion_auc",
        Direction.LOWER,
        f"area under p while content is removed in order of attribution (Petsiuk et al. 2018); {_P}",
    ),
    (
        "insertion AUC",
        "insertion_auc",
        Direction.HIGHER,
        f"area under p while content is revealed in order of attribution (Petsiuk et al. 2018); {_P}",
    ),
    (
        "log-odds",
        "log_odds",
        Direction.LOWER,
        f"log p(x without the top k) − log p(x), mean over the fractions (Chen et al. 2019); {_P}",
    ),
    (
        "normalised sufficiency",
        "normalised_sufficiency",
        Direction.HIGHER,
        "sufficiency as a share of what the content does for p, 0 to 1 (Carton et al. 2020); rows where the content raises p",
    ),
    (
        "normalised comprehensiveness",
        "normalised_comprehensiveness",
        Direction.HIGHER,
        "comprehensiveness as a share of what the content does for p, 0 to 1 (Carton et al. 2020); rows as above",
    ),
    (
        "infidelity",
        "infidelity",
        Direction.LOWER,
        "E[(Iᵀφ − (f(x) − f(x_I)))²] over random sets I of removed content, logits² (Yeh et al. 2019); f: the explained logit",
    ),
    (
        "normalised infidelity",
        "infidelity_normalised",
        Direction.LOWER,
        "infidelity of βφ with the best β for each row, logits² (Yeh et al. 2019): the scale of φ does not matter",
    ),
    (
        "entropy",
        "entropy",
        Direction.REPORT,
        "−Σ q ln q with q = |attribution| / Σ|attribution|, nats: 0 for one token (Bhatt et al. 2020)",
    ),
    (
        "Gini index",
        "gini",
        Direction.REPORT,
        "of |attribution|: 0 for an even spread, near 1 for one token (Chalasani et al. 2020)",
    ),
    (
        "margin over random",
        "margin_over_random",
        Direction.HIGHER,
        "difference of CA-LIG − difference of random orders, paired by row",
    ),
)

#: The same for images; absent from reports on texts.
_KEPT = (
    "removed first, the share of the way from 10 % to 90 % on which the explained class stays the most probable "
    "(area under accuracy / 0.8; Chefer et al. 2021)"
)
IMAGE_MEANS: tuple[tuple[str, str, Direction, str], ...] = (
    ("positive perturbation AUC", "positive_perturbation_auc", Direction.LOWER, f"most relevant patches {_KEPT}"),
    ("negative perturbation AUC", "negative_perturbation_auc", Direction.HIGHER, f"least relevant patches {_KEPT}"),
)

#: The same for agreement with human rationales; absent from reports on data without them.
_TOWARD_GOLD = "rows explained toward their gold class (DeYoung et al. 2020)"
_SEVERAL = "those rows that several annotators marked; the plausibility of these is against their majority vote per token"
PLAUSIBILITY_MEANS: tuple[tuple[str, str, Direction, str], ...] = (
    (
        "plausibility AUPRC",
        "plausibility_auprc",
        Direction.HIGHER,
        f"area under precision over recall of the human rationale as more tokens are taken; {_TOWARD_GOLD}",
    ),
    (
        "plausibility token F1",
        "plausibility_token_f1",
        Direction.HIGHER,
        f"F1 of as many top tokens as the human rationale has; {_TOWARD_GOLD}",
    ),
    (
        "plausibility span F1",
        "plausibility_span_f1",
        Direction.HIGHER,
        f"F1 of runs of top tokens that share more than half of their union with a run of the human rationale; {_TOWARD_GOLD}",
    ),
    (
        "human ceiling AUPRC",
        "human_ceiling_auprc",
        Direction.REPORT,
        f"the same of the other annotators' votes against each annotator, mean over them; {_SEVERAL}",
    ),
    (
        "human ceiling token F1",
        "human_ceiling_token_f1",
        Direction.REPORT,
        f"F1 of one annotator's tokens against another's, mean over the pairs; {_SEVERAL}",
    ),
    (
        "human ceiling span F1",
        "human_ceiling_span_f1",
        Direction.REPORT,
        f"F1 of one annotator's runs of tokens against another's, mean over the pairs; {_SEVERAL}",
    ),
)

#: The same for the attempt to falsify the maps, on the rows it was made on; absent from reports when it was not to be made.
FALSIFICATION_MEANS: tuple[tuple[str, str, Direction, str], ...] = (
    (
        "max-sensitivity",
        "max_sensitivity",
        Direction.LOWER,
        "largest ‖φ(x + δ) − φ(x)‖ / ‖φ(x)‖ over nudges δ of the embeddings or pixels, the class fixed (Yeh et al. 2019)",
    ),
    (
        "randomisation correlation",
        "randomisation_correlation",
        Direction.LOWER,
        "Spearman correlation of |φ| with |φ| after weights are randomised from the head down, mean over the stages "
        "(cascading randomisation; Adebayo et al. 2018)",
    ),
    (
        "correlation, all randomised",
        "randomised_correlation",
        Direction.LOWER,
        "the same when all weights are randomised: what is left of the maps without anything learned; near 0 when they fall",
    ),
)


def metrics(scored: ScoredTable, config: QualityConfig, *, falsified: bool) -> tuple[Metric, ...]:
    """Every metric of the run; a value is None when no row could be judged. `falsified`: with those of the attempt to falsify."""
    applicable = [row for row in (*IMAGE_MEANS, *PLAUSIBILITY_MEANS) if known(scored, row[1]).size]
    attempt = FALSIFICATION_MEANS if falsified else ()
    means = (_mean(scored, config, *_stated(row, scored)) for row in (*MEANS, *applicable, *attempt))
    return (_residual(scored), _non_finite(scored), *means)


def _stated(row: tuple[str, str, Direction, str], scored: ScoredTable) -> tuple[str, str, Direction, str]:
    """The entry with a definition that holds for a regression, where the model is one."""
    name, column, direction, definition = row
    if scored.problem_type != "regression":
        return row
    if column in OF_CLASSES:
        return name, column, direction, "not measured: a regression has no probabilities"
    return name, column, direction, definition.replace(_P, _OUTPUT)


def _residual(frame: Table) -> Metric:
    residuals = known(frame, "residual_max")
    return Metric(
        name="completeness residual p95",
        value=float(np.quantile(residuals, 0.95)) if residuals.size else None,
        direction=Direction.LOWER,
        n=residuals.size,
        definition="95th percentile over rows of the largest |Σ s − (f(x) − f(x'))| / |f(x) − f(x')| of any layer, as the "
        "quadrature leaves it before it is corrected by what is known of f (completeness; Sundararajan et al. 2017)",
    )


def _non_finite(frame: Table) -> Metric:
    return Metric(
        name="non-finite rows",
        value=float(frame["non_finite"].sum()) if len(frame) else None,
        direction=Direction.LOWER,
        n=len(frame),
        definition="rows whose attribution or residual is missing, NaN or infinite; not scored",
    )


def _mean(frame: Table, config: QualityConfig, name: str, column: str, direction: Direction, definition: str) -> Metric:
    values = known(frame, column)
    if values.size == 0:
        return Metric(name=name, value=None, direction=direction, n=0, definition=definition)
    mean, interval = mean_and_interval(values, config)
    spread = interval if values.size >= FEWEST else None
    return Metric(name=name, value=mean, interval=spread, direction=direction, n=values.size, definition=definition)


def controls(scored: ScoredTable, config: QualityConfig) -> tuple[Control, ...]:
    """CA-LIG against each control that at least two rows have, paired by row; fewer have no interval."""
    return tuple(_control(scored, name, config) for name in CONTROLS if n_compared(scored, name) >= FEWEST)


def n_compared(frame: Table, control: str) -> int:
    """Rows on which CA-LIG could be compared with the control."""
    return known(frame, f"margin_over_{control}").size


def _control(frame: Table, name: str, config: QualityConfig) -> Control:
    margin, interval = mean_and_interval(known(frame, f"margin_over_{name}"), config)
    return Control(
        name=name,
        n=n_compared(frame, name),
        comprehensiveness=float(known(frame, f"comprehensiveness_{name}").mean()),
        sufficiency=float(known(frame, f"sufficiency_{name}").mean()),
        margin=margin,
        margin_interval=interval,
        beats_ca_lig=n_compared(frame, name) >= MIN_ROWS and interval.high < 0.0,
    )


def mean_curves(scored: ScoredTable, config: QualityConfig) -> tuple[Curve, ...]:
    """Deletion and insertion curves of every method, mean over those rows the controls are measured on that have it."""
    return tuple(
        _curve(method, kind, mean, config)
        for method in METHODS
        for side, kind in enumerate(("deletion", "insertion"))
        if (mean := scored.curves.mean(method, side)) is not None
    )


def _curve(method: str, kind: str, probability: FloatArray, config: QualityConfig) -> Curve:
    return Curve(
        method=method,
        kind=kind,
        fractions=curve_points(config.fractions),
        probability=tuple(probability.tolist()),
        auc=float(area_under_curve(probability, fractions=config.fractions)),
    )


def known(frame: Table, column: str) -> FloatArray:
    """The column's values that are known."""
    return np.asarray(frame[column].dropna(), dtype=np.float64)

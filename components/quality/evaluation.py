"""Score the attribution table, judge it by an expectation suite, and say what a reader must know first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from calig.metrics.perturbation import Perturbation, check_fractions
from components.common.errors import InputError
from components.common.intervals import MIN_ROWS
from components.quality.scores.falsification import summary_of, warnings_of, with_findings
from components.quality.scores.frame import CONTROLS, RANDOM
from components.quality.scores.measures import controls, mean_curves, metrics, n_compared
from components.quality.scores.rows import ModelScorer, ScoredRows, score_rows
from components.quality.scores.table import modality_of
from components.quality.scores.trust import disagrees, doubts, too_few_explained
from components.quality.suite.checks import overall, run_checks
from components.quality.suite.load import load_suite, suite_digest, suite_for
from components.quality.suite.own import listed_modules
from schemas.config import QualityConfig
from schemas.quality import Control, Falsification, FalsificationSummary, QualityReport, ScorerRecord

if TYPE_CHECKING:
    import pandas as pd


def evaluate(
    table_paths: Sequence[Path],
    *,
    labels: Sequence[str],
    scorer: ModelScorer,
    scorer_record: ScorerRecord,
    config: QualityConfig,
    perturbation: Perturbation,
    falsification: Falsification | None = None,
    progress: Callable[[int], None] | None = None,
) -> QualityReport:
    """Measure and judge the attributions in `table_paths` (shards of one table, schemas/attribution.py).

    CA-LIG and the controls are scored by the same `perturbation` of the attributed token ids or images, and compared on the same
    rows: a random order on all that are scored, simpler explanations on `quality.control_rows` of them. Rows without an
    attribution are counted and left out.

    Args:
        table_paths: the shards.
        labels: the model's classes in logit order.
        scorer, scorer_record: the model on perturbed inputs, and what runs it.
        config: settings, among them the suite.
        perturbation: how content is removed.
        falsification: what the attribution step found when it tried to falsify the maps (None: it was not to try).
        progress: gets the number of rows just done.

    Raises:
        InputError: the suite or the fractions cannot be used.
        CouldNotRunError: the table cannot be read, or the scorer failed or gave what are no answers of the model.
    """
    suite_name = suite_for(config.suite, modality_of(table_paths))
    _check_config(suite_name, config)
    scored = score_rows(table_paths, labels=labels, scorer=scorer, config=config, perturbation=perturbation, progress=progress)
    scored = replace(scored, frame=with_findings(scored.frame, falsification))
    suite = load_suite(suite_name, columns=list(scored.frame.columns), modules=listed_modules(config))
    skipped = too_few_explained(len(scored.frame), scored.n_skipped, config)
    checks = (
        *run_checks(suite, scored.frame, problem_type=scored.problem_type),
        *doubts(scored.frame, scored.problem_type),
        *skipped,
    )
    compared, attempt = controls(scored, config), summary_of(falsification, config)
    return QualityReport(
        verdict=overall(checks),
        suite=suite.spec.name,
        suite_digest=suite_digest(suite_name, listed_modules(config)),
        metrics=metrics(scored, config, falsified=attempt is not None),
        controls=compared,
        curves=mean_curves(scored, config),
        checks=checks,
        scorer=scorer_record,
        perturbation=perturbation.kind,
        falsification=attempt,
        warnings=_warnings(scored, compared, scorer_record, attempt),
    )


def _check_config(suite_name: str, config: QualityConfig) -> None:
    """Refuse a broken suite or broken fractions before minutes of scoring."""
    load_suite(suite_name, modules=listed_modules(config))
    try:
        check_fractions(config.fractions)
    except ValueError as error:
        raise InputError(f"quality.fractions: {error}", got=config.fractions) from error


def _warnings(
    scored: ScoredRows, compared: Sequence[Control], record: ScorerRecord, attempt: FalsificationSummary | None
) -> tuple[str, ...]:
    """Sentences for the report's first lines, gravest first."""
    sentences = [_beaten(control) for control in compared if control.beats_ca_lig]
    sentences += warnings_of(attempt)
    sentences += _about_rows(scored)
    sentences += _too_few(scored.frame)
    missing = sorted(name for name in CONTROLS if not n_compared(scored.frame, name))
    if missing and len(scored.frame):
        sentences.append(f"No row could be compared with: {', '.join(missing)}.")
    if record.fallback_reason is not None:
        sentences.append(f"Perturbed inputs were scored by torch: {record.fallback_reason}")
    return tuple(sentences)


def _beaten(control: Control) -> str:
    interval = control.margin_interval
    return (
        f"On this model the simpler explanation {control.name} is more faithful than CA-LIG: margin {control.margin:+.3f} "
        f"({100 * interval.level:g} % interval {interval.low:+.3f} to {interval.high:+.3f}; above 0 CA-LIG is better)."
    )


def _too_few(frame: pd.DataFrame) -> list[str]:
    simpler = max(n_compared(frame, name) for name in CONTROLS if name != RANDOM)
    n = simpler or n_compared(frame, RANDOM)
    if not 0 < n < MIN_ROWS:
        return []
    return [
        f"Only {n} row{'' if n == 1 else 's'} could be compared with simpler explanations, fewer than {MIN_ROWS}: whether one of "
        "them is more faithful was not judged."
    ]


def _about_rows(scored: ScoredRows) -> list[str]:
    sentences = []
    if disagrees(scored.frame, scored.problem_type):
        what = "outputs" if scored.problem_type == "regression" else "probabilities"
        sentences.append(f"The scorer gives other {what} than the attribution run did: the two may not have run the same model.")
    if scored.n_skipped:
        sentences.append(f"{scored.n_skipped} rows have no attribution and were not judged.")
    return sentences

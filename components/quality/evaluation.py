"""Score the attribution table shard by shard, judge it by an expectation suite, and say what a reader must know first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from calig.metrics.perturbation import Perturbation, check_fractions
from components.common.errors import InputError
from components.common.file_digests import file_digest
from components.common.intervals import MIN_ROWS
from components.quality.scores.falsification import summary_of, warnings_of
from components.quality.scores.frame import CONTROLS, RANDOM, Table
from components.quality.scores.measures import controls, mean_curves, metrics, n_compared
from components.quality.scores.rows import Scoring, score_rows
from components.quality.scores.scored_table import ScoredTable, write_shard
from components.quality.scores.trust import disagrees, doubts, joint_record, too_few_explained
from components.quality.suite.checks import overall, run_checks
from components.quality.suite.load import load_suite, suite_digest, suite_for
from components.quality.suite.own import listed_modules
from schemas.config import QualityConfig
from schemas.quality import Control, Falsification, FalsificationSummary, QualityReport, ScorerRecord
from schemas.shards import DrawnRows, ScoredShard


def check_settings(config: QualityConfig, modality: Literal["text", "image"]) -> None:
    """Refuse a broken suite or broken fractions before minutes of scoring.

    Raises:
        InputError: the suite or the fractions cannot be used.
    """
    load_suite(suite_for(config.suite, modality), modules=listed_modules(config))
    try:
        check_fractions(config.fractions)
    except ValueError as error:
        raise InputError(f"quality.fractions: {error}", got=config.fractions) from error


def score_shard(
    table: Path,
    drawn: DrawnRows,
    by: Scoring,
    *,
    index: int,
    path: Path,
    progress: Callable[[int], None] | None = None,
) -> ScoredShard:
    """Score the rows of one shard of the attribution table (schemas/attribution.py) and write them to `path`.

    CA-LIG and the controls are scored by the same perturbation of the attributed token ids or images, and compared on the same
    rows: a random order on all that are scored, simpler explanations on those `drawn` for it. Rows without an attribution are
    counted and left out. A row's scores do not depend on other shards.

    Args:
        table: the shard.
        drawn: which rows are scored, see `draw_rows`.
        by: what scores them, and how.
        index: the shard's number.
        path: of the Parquet file, which is written whole or not at all.
        progress: gets the number of rows just done.

    Raises:
        CouldNotRunError: the table cannot be read, or the scorer failed or gave what are no answers of the model.
    """
    scored = score_rows(table, drawn, by, progress)
    write_shard(scored, path)
    return ScoredShard(
        index=index,
        path=path,
        sha256=file_digest(path),
        n_rows=len(scored.frame) + scored.n_skipped,
        n_skipped=scored.n_skipped,
        segments=scored.segments,
        problem_type=scored.problem_type,
        scorer=by.record,
    )


def judge(
    shards: Sequence[ScoredShard],
    *,
    modality: Literal["text", "image"],
    config: QualityConfig,
    perturbation: Perturbation,
    falsification: Falsification | None = None,
) -> QualityReport:
    """Judge the scored rows of all shards, one at least. Memory holds some of their columns at a time.

    Args:
        shards: in order, with the files as they were written.
        modality: what was explained; it says which suite is meant by `auto`.
        config: settings, among them the suite.
        perturbation: how content was removed.
        falsification: what the attribution step found when it tried to falsify the maps (None: it was not to try).

    Raises:
        InputError: the suite cannot be used.
    """
    scored = ScoredTable(shards, falsification, config)
    suite_name, modules = suite_for(config.suite, modality), listed_modules(config)
    suite = load_suite(suite_name, columns=scored.columns, modules=modules)
    checks = (
        *run_checks(suite, scored, problem_type=scored.problem_type),
        *doubts(scored, scored.problem_type),
        *too_few_explained(len(scored), scored.n_skipped, config),
    )
    compared, attempt = controls(scored, config), summary_of(falsification, config)
    scorer = joint_record([shard.scorer for shard in shards])
    return QualityReport(
        verdict=overall(checks),
        suite=suite.spec.name,
        suite_digest=suite_digest(suite_name, modules),
        metrics=metrics(scored, config, falsified=attempt is not None),
        controls=compared,
        curves=mean_curves(scored, config),
        checks=checks,
        scorer=scorer,
        perturbation=perturbation.kind,
        falsification=attempt,
        warnings=_warnings(scored, compared, scorer, attempt),
    )


def _warnings(
    scored: ScoredTable, compared: Sequence[Control], record: ScorerRecord, attempt: FalsificationSummary | None
) -> tuple[str, ...]:
    """Sentences for the report's first lines, gravest first."""
    sentences = [_beaten(control) for control in compared if control.beats_ca_lig]
    sentences += warnings_of(attempt)
    sentences += _about_rows(scored)
    sentences += _too_few(scored)
    missing = sorted(name for name in CONTROLS if not n_compared(scored, name))
    if missing and len(scored):
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


def _too_few(frame: Table) -> list[str]:
    simpler = max(n_compared(frame, name) for name in CONTROLS if name != RANDOM)
    n = simpler or n_compared(frame, RANDOM)
    if not 0 < n < MIN_ROWS:
        return []
    return [
        f"Only {n} row{'' if n == 1 else 's'} could be compared with simpler explanations, fewer than {MIN_ROWS}: whether one of "
        "them is more faithful was not judged."
    ]


def _about_rows(scored: ScoredTable) -> list[str]:
    sentences = []
    if disagrees(scored, scored.problem_type):
        what = "outputs" if scored.problem_type == "regression" else "probabilities"
        sentences.append(f"The scorer gives other {what} than the attribution run did: the two may not have run the same model.")
    if scored.n_skipped:
        sentences.append(f"{scored.n_skipped} rows have no attribution and were not judged.")
    return sentences

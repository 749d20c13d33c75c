"""Scores the rows of all shards of a release: whole ones come from the cache, the others are perturbed and scored.

They are scored where the run's engine computes, also when attribution is another deployment's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import accumulate

from components import quality
from flows.execution import engines, exchange, scorers
from flows.execution.resources import gpu_slot
from flows.pipeline import tasks
from schemas.base import digest_of
from schemas.config import QualityConfig
from schemas.planned_release import Release
from schemas.shards import SCORED_VERSION, ScoredShard, ScoringPlan, ShardResult

#: Settings that change no score: what judges, and the attempt to falsify. A new setting counts until it stands here.
_OTHER_SETTINGS = {
    *("suite", "min_explained", "expectation_modules", "bootstrap_draws", "confidence"),
    *("falsification_rows", "falsification_points", "sensitivity_draws", "sensitivity_radius"),
}


def score_shards(
    release: Release, shards: Sequence[ShardResult], perturbation: quality.Perturbation, force: bool
) -> list[ScoredShard]:
    """All shards' scored rows, from the cache unless `force`; those whose file was lost or damaged are scored again.

    A scorer is opened here first: what cannot be scored fails once, and workers of this machine find the exported model.
    """
    alone, settings = release.alone(), release.config.quality
    plan = plan_scoring(release, shards, perturbation)
    drawn = quality.draw_rows([shard.path for shard in shards], settings)
    given = {
        shard.index: {"shard": shard, "drawn": rows, "plan": plan, "perturbation": perturbation}
        for shard, rows in zip(shards, drawn, strict=True)
    }

    def compute(indices: list[int], force: bool) -> list[ScoredShard]:
        parts = {index: given[index] for index in indices}
        scored: list[ScoredShard] = engines.compute_shards(tasks.score_shard, alone, parts, force)
        return [exchange.locate_table(alone, one, alone.scored_name(plan.key, one.index)) for one in scored]

    try:
        with gpu_slot(release.config.attribution), scorers.scorer_of(alone, plan, perturbation):
            pass
        if release.config.execution.engine != "threads":
            scorers.close()
        return exchange.whole_shards(compute, alone, [shard.index for shard in shards], force)
    finally:
        scorers.close()


def plan_scoring(release: Release, shards: Sequence[ShardResult], perturbation: quality.Perturbation) -> ScoringPlan:
    """What the release's shards are scored by."""
    identity = [SCORED_VERSION, asdict(perturbation), _scoring_settings(release.config.quality)]
    tables = [shard.sha256 for shard in shards]
    explained = [shard for shard in shards if shard.n_explained]
    before = accumulate((shard.n_explained for shard in explained), initial=0)
    parity = tuple(shard for shard, n in zip(explained, before, strict=False) if n < scorers.PARITY_ROWS)
    return ScoringPlan(key=digest_of([*identity, tables])[:16], parity=parity)


def _scoring_settings(settings: QualityConfig) -> dict[str, object]:
    return settings.model_dump(mode="json", exclude=_OTHER_SETTINGS)

"""The scorer of a process: opened for the first shard that the process scores, kept for its others, used by one at a time."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock

from components import quality, scoring
from flows.execution import exchange
from schemas.planned_release import Release
from schemas.quality import ScorerRecord
from schemas.shards import ScoringPlan

#: Rows that every scorer is compared with torch on.
PARITY_ROWS = 16

_LOCK = Lock()
_opened: dict[str, tuple[scoring.TokenScorer, ScorerRecord]] = {}


@contextmanager
def scorer_of(
    release: Release, plan: ScoringPlan, perturbation: quality.Perturbation
) -> Iterator[tuple[scoring.TokenScorer, ScorerRecord]]:
    """The plan's scorer and what it is; others wait, since it computes on all cores that this process may use."""
    with _LOCK:
        if plan.key not in _opened:
            _opened.clear()
            _opened[plan.key] = _open(release, plan, perturbation)
        yield _opened[plan.key]


def close() -> None:
    """Give back the memory of the scorer that is kept."""
    with _LOCK:
        _opened.clear()


def _open(release: Release, plan: ScoringPlan, perturbation: quality.Perturbation) -> tuple[scoring.TokenScorer, ScorerRecord]:
    with ExitStack() as stack:
        tables = [stack.enter_context(exchange.read_table(release, shard)) for shard in plan.parity]
        inputs = quality.sample_inputs(tables, limit=PARITY_ROWS, perturbation=perturbation)
        return scoring.open_scorer(
            exchange.load_model(release),
            runtime=release.config.quality.scorer,
            workspace=_workspace(release.workspace),
            parity_inputs=inputs,
        )


@lru_cache(maxsize=1)
def _workspace(planned: Path) -> Path:
    """Where exported models are kept; a worker that does not see the run's folder has one of its own while it lives."""
    if planned.is_dir():
        return planned
    here = Path(tempfile.mkdtemp(prefix="calig-scorer-"))
    atexit.register(shutil.rmtree, here, ignore_errors=True)
    return here

"""How a worker process of an engine behaves: as quiet as the process that started it, and on its share of the cores."""

from __future__ import annotations

import os
from functools import lru_cache

from components import attribution
from flows.environment import QUIET_MARK, quieten
from flows.stopping import ignore_interrupts
from schemas.config import ExecutionConfig

#: Set for the time in which an engine runs: the process that the workers belong to, which is none of them.
OWNER = "CALIG_ENGINE_OWNER"


@lru_cache(maxsize=1)
def settle(execution: ExecutionConfig) -> None:
    """Once per worker process; nothing in the process that owns the engine."""
    if execution.engine == "threads" or os.environ.get(OWNER) == str(os.getpid()):
        return
    ignore_interrupts()
    if QUIET_MARK in os.environ:
        quieten()
    if execution.address is None:
        attribution.use_threads(threads_per_worker(execution))


def threads_per_worker(execution: ExecutionConfig) -> int:
    """This machine's cores shared out among the workers; fewer where OMP_NUM_THREADS says so."""
    share = max(1, (os.cpu_count() or 1) // execution.workers)
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(asked)) if asked.isdigit() and int(asked) > 0 else share

"""A batch: some versions, some faults of one kind at random moments, a settling, and a judgement on every version."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.faults.evidence import Judgement, attempts, judge
from tests.benchmarks.faults.live import LIVE
from tests.benchmarks.faults.rig import Rig
from tests.benchmarks.faults.versions import POISON, Version
from tests.benchmarks.faults.webhooks import WEBHOOK, deliver_badly

POISON_ROW = "poison row"
KINDS = (*LIVE, POISON_ROW, *WEBHOOK)

#: At least two runs at a time, so that servers fail under more than one.
_AT_WORK = 2
#: Until everything is settled: for runs that died silently or hang, and for each version on a crowded machine.
_SETTLE_LIMIT_S, _SETTLE_LIMIT_PER_VERSION_S = 480.0, 60.0


@dataclass
class Batch:
    """What one batch came to."""

    kind: str
    injected: int = 0
    versions: list[Version] = field(default_factory=list)
    findings: dict[str, list[str]] = field(default_factory=dict)
    runs: int = 0
    seconds: float = 0.0

    def summary(self) -> dict[str, Any]:
        """Counts, and what was found in words, as they go into the results."""
        counts = {name: len(found) for name, found in self.findings.items()}
        words = [f"{name}: {line}" for name, found in self.findings.items() for line in found]
        size = {"injected": self.injected, "versions": len(self.versions), "runs": self.runs}
        return {"kind": self.kind, **size, **counts, "seconds": round(self.seconds, 1), "findings": words}


def run_batch(rig: Rig, kind: str, n: int, limit_s: float) -> Batch:
    """Inject up to `n` faults of a kind, within `limit_s` and a settling time, and judge."""
    started, before = time.monotonic(), (len(rig.shards.recomputed), len(rig.shards.gone))
    batch = Batch(kind)
    if kind in LIVE:
        _inject_live(rig, batch, n, started + limit_s)
    elif kind == POISON_ROW:
        _register_poisoned(rig, batch, n)
    else:
        batch.versions, batch.injected = deliver_badly(rig, kind, n)
    rig.settle(batch.versions, _SETTLE_LIMIT_S + _SETTLE_LIMIT_PER_VERSION_S * len(batch.versions))
    batch.findings = _findings(rig, batch.versions, before)
    batch.runs = sum(attempts(rig.client, version) for version in batch.versions)
    batch.seconds = time.monotonic() - started
    return batch


def _inject_live(rig: Rig, batch: Batch, n: int, deadline: float) -> None:
    while batch.injected < n and time.monotonic() < deadline:
        open_now = len(rig.unsettled(batch.versions))
        batch.versions += [rig.registering.version() for _ in range(_AT_WORK - open_now)]
        rig.wait(rig.rng.uniform(0.5, 6.0))
        batch.injected += LIVE[batch.kind](rig)


def _register_poisoned(rig: Rig, batch: Batch, n: int) -> None:
    """Each version has one row that cannot be explained, of every sort in turn."""
    for i in range(n):
        batch.versions.append(rig.registering.version(poison=[POISON[i % len(POISON)]]))
        batch.injected += 1


def _findings(rig: Rig, versions: list[Version], before: tuple[int, int]) -> dict[str, list[str]]:
    judged: list[Judgement] = [judge(rig.client, version) for version in versions]
    rig.shards.look()
    return {
        "lost": [line for one in judged for line in one.lost] + rig.shards.gone[before[1] :],
        "published_twice": [line for one in judged for line in one.published_twice],
        "without_verdict": [line for one in judged for line in one.without_verdict],
        "recomputed_finished_shards": rig.shards.recomputed[before[0] :],
    }

"""How many faults of each kind, in batches that are done in minutes; what earlier runs have done is not done again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

#: Of the whole plan. Kills come at random moments, so there are many; a webhook costs nothing but its version.
SHARES: dict[str, int] = {
    "flow killed": 36,
    "worker killed": 10,
    "Prefect server killed": 8,
    "MLflow killed while publishing": 10,
    "PostgreSQL restarted, fast": 10,
    "PostgreSQL restarted, immediate": 10,
    "artifact store refuses writes": 10,
    "disk full": 12,
    "shard truncated": 12,
    "out of memory": 14,
    "poison row": 16,
    "webhook twice": 16,
    "webhook out of order": 14,
    "webhook forged": 14,
    "webhook replayed": 14,
    "webhook of 10 MB": 8,
    "webhook by a wrong clock": 14,
}
ALL_FAULTS = sum(SHARES.values())
_LARGEST_BATCH = 12


class Part(NamedTuple):
    """So many faults of one kind, in one batch."""

    kind: str
    n: int


def counts(total: int) -> dict[str, int]:
    """`total` faults over all kinds, at least one of each."""
    return {kind: max(1, round(share * total / ALL_FAULTS)) for kind, share in SHARES.items()}


def remaining(total: int, done: Iterable[dict[str, Any]]) -> Iterator[Part]:
    """Batches that are still to be run; the kinds take turns, so that a run cut short has seen most of them."""
    left = counts(total)
    for batch in done:
        left[batch["kind"]] = max(0, left[batch["kind"]] - batch["injected"])
    while any(left.values()):
        for kind in left:
            if left[kind]:
                part = Part(kind, min(_LARGEST_BATCH, left[kind]))
                left[kind] -= part.n
                yield part

"""Reads two versions' rows once, side by side, and collects what the comparison needs of the examples that can be paired."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from components.drift.examples import Examples, gather
from components.drift.findings import Answers, Worst
from components.drift.pairing import PairedExample, Pairs
from components.drift.statistics.layers import LayerSums
from components.drift.statistics.registry import measures
from components.table.rows import Row
from schemas.config import DriftConfig
from schemas.drift import Coverage, DriftExample, LayerProfile


@dataclass(frozen=True)
class Collected:
    """What is kept of paired examples: all of them on disk, sums by layer, and those whose reasons moved most."""

    examples: Examples
    layer_profile: LayerProfile | None
    worst: tuple[DriftExample, ...]


@dataclass(frozen=True)
class Pairing:
    """What two versions' tables have in common: the examples, how many there could be, and both versions' answers."""

    found: Collected
    coverage: Coverage
    answers: Answers

    @property
    def examples(self) -> Examples:
        """The examples that have shares on both sides."""
        return self.found.examples


def match(
    reference: Mapping[str, Row],
    candidate: Mapping[str, Row],
    labels: Sequence[str],
    toward_reference: Mapping[str, Row] = MappingProxyType({}),
    *,
    config: DriftConfig,
) -> Pairing:
    """All comparable examples, see `Pairs`, and a count of every row that is not among them."""
    answers = Answers()
    pairs = Pairs(reference, candidate, labels, toward_reference, seen=answers.add)
    found = collect(pairs, config)
    return Pairing(found, pairs.coverage, answers)


def collect(examples: Iterable[PairedExample], config: DriftConfig) -> Collected:
    """One reading of `examples`, none of which is kept."""
    layers, worst = LayerSums(), Worst(config.worst_examples)
    kept = gather(_watched(examples, layers.add, worst.add), measures(config))
    return Collected(kept, layers.profile(), worst.listed())


def _watched(examples: Iterable[PairedExample], *watchers: Callable[[PairedExample], None]) -> Iterator[PairedExample]:
    for example in examples:
        for watcher in watchers:
            watcher(example)
        yield example

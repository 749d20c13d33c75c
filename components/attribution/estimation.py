"""Estimate of attribution's time and memory, from groups of rows passed beforehand."""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from calig.batching import equal_lengths, return_memory
from components.attribution.method import uses_gpu
from components.attribution.running import attribute_examples, batch_tokens, encode_examples, load_classifier
from components.common.memory import own_resident_bytes, peak_resident_bytes
from schemas.config import AttributionConfig
from schemas.release import Example, ModelSnapshot

#: Share of the whole that may be spent on estimating it, and the bounds of that, s.
_SHARE, _LEAST_S, _MOST_S = 0.05, 2.0, 20.0

#: Fewest groups in the sample: one group alone says little about the others.
_FEWEST = 3


@dataclass(frozen=True)
class Estimate:
    """Time to attribute all rows, s, and the most memory held meanwhile, bytes.

    peak_bytes: of the GPU if it is used, else of the process. resident_bytes: of the process in either case, with the room that
    freed tensors leave between one another.
    """

    seconds: float
    peak_bytes: int
    resident_bytes: int


class _Lengths(NamedTuple):
    """Positions of every row that can be attributed, in all windows, and the row's place: 16 bytes a row."""

    places: NDArray[np.int64]
    positions: NDArray[np.int64]


class _Group(NamedTuple):
    """Rows of one length that will go through the model together; of texts in windows, the length of all their windows."""

    length: int
    places: NDArray[np.int64]

    @property
    def tokens(self) -> int:
        return self.length * len(self.places)


def estimate(snapshot: ModelSnapshot, examples: Sequence[Example], config: AttributionConfig) -> Estimate:
    """Time and memory of attributing `examples`, from passing a systematic sample of the groups that the run will form.

    The largest group is among them: memory does not grow with the number of rows, so it is what the run will peak at. What is
    compiled for new shapes on the way is compiled for the run as well.
    """
    groups = sorted(_groups(snapshot, examples, config), key=lambda group: (group.tokens, group.length))
    if not groups:
        return _estimate(0.0, peak_resident_bytes(), config)
    tokens = sum(group.tokens for group in groups)
    return_memory()
    first = _time(snapshot, examples, groups[-1:], config)
    resident = _resident_peak()
    sample = _sample(groups, first * tokens / groups[-1].tokens)
    seconds = _time(snapshot, examples, sample, config) * tokens / sum(group.tokens for group in sample)
    return _estimate(seconds, resident, config)


def _estimate(seconds: float, resident: int, config: AttributionConfig) -> Estimate:
    resident = max(resident, peak_resident_bytes())
    return Estimate(seconds, _gpu_peak_bytes() if uses_gpu(config) else resident, resident)


def _resident_peak() -> int:
    """What the process will hold at most, right after the largest group: what it holds now, and that group's memory once more.

    The heap keeps what a group frees until it is given back after several groups, and the next ones, whose tensors have other
    sizes, find no room in about as much of it as the largest group takes.
    """
    held = own_resident_bytes()
    return_memory()
    return held + (held - own_resident_bytes())


def most_seconds(snapshot: ModelSnapshot, examples: Sequence[Example], config: AttributionConfig) -> float:
    """About the most seconds that attributing `examples` should take, from passing a row of typical length.

    A row alone takes longer than its share of a batch, and the first of its length longer than the others, so this is more
    often too much than too little.
    """
    places, positions = _lengths(snapshot, examples, config)
    if not len(places):
        return 0.0
    typical = int(np.argsort(positions, kind="stable")[len(positions) // 2])
    seconds = _call(snapshot, [examples[int(places[typical])]], config)
    return seconds * float(positions.sum() / positions[typical])


def _groups(snapshot: ModelSnapshot, examples: Sequence[Example], config: AttributionConfig) -> list[_Group]:
    """The groups that the run will form, shard by shard."""
    rows, groups = _lengths(snapshot, examples, config), []
    for start in range(0, len(rows.places), config.shard_rows):
        places, positions = (column[start : start + config.shard_rows] for column in rows)
        for group in equal_lengths(positions.tolist(), batch_tokens(config)):
            groups.append(_Group(int(positions[group[0]]), places[group]))
    return groups


def _lengths(snapshot: ModelSnapshot, examples: Sequence[Example], config: AttributionConfig) -> _Lengths:
    """One row is prepared at a time; images all have as many positions, so that one is opened, not thousands."""
    model, processor = load_classifier(snapshot.model_path, snapshot.processor_path, config.dtype, config.device)
    places, positions = array("q"), array("q")
    for place, example in enumerate(examples):
        as_first = snapshot.modality == "image" and positions and example.problem is None
        n = positions[0] if as_first else _positions(example, model, processor, config)
        if n is not None:
            places.append(place)
            positions.append(n)
    return _Lengths(np.array(places, np.int64), np.array(positions, np.int64))


def _positions(example: Example, model: Any, processor: Any, config: AttributionConfig) -> int | None:
    encoded, _ = encode_examples([example], model, processor, config)
    return encoded[0][1].n_positions if encoded else None


def _sample(groups: Sequence[_Group], guess: float) -> list[_Group]:
    """Every so-manieth group, as many as may be passed when all of them take `guess` s."""
    allowed = min(max(_SHARE * guess, _LEAST_S), _MOST_S)
    n = min(len(groups), max(_FEWEST, round(len(groups) * allowed / guess)))
    places = (np.arange(n) + 0.5) * len(groups) / n
    return [groups[int(place)] for place in places]


def _time(snapshot: ModelSnapshot, examples: Sequence[Example], groups: Sequence[_Group], config: AttributionConfig) -> float:
    """The second time, unless the first was slow: it compiles kernels for shapes that the run will meet many times."""
    first = _once(snapshot, examples, groups, config)
    return first if first > _LEAST_S else _once(snapshot, examples, groups, config)


def _once(snapshot: ModelSnapshot, examples: Sequence[Example], groups: Sequence[_Group], config: AttributionConfig) -> float:
    """Seconds for the groups alone: what every call costs beside, the run pays once per shard."""
    seconds = [_call(snapshot, [examples[int(place)] for place in group.places], config) for group in groups]
    return sum(seconds) - (len(groups) - 1) * _call(snapshot, [], config)


def _call(snapshot: ModelSnapshot, examples: Sequence[Example], config: AttributionConfig) -> float:
    started = time.monotonic()
    attribute_examples(snapshot, examples, config, None)
    return time.monotonic() - started


def _gpu_peak_bytes() -> int:
    """Most memory that tensors have held on the GPU so far."""
    return int(torch.cuda.max_memory_allocated())

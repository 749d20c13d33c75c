"""Rows of a release's pinned data set, read once per process; they lie on disk, and are made where they are asked for."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from random import Random

from components import datasets
from components.common.errors import InputError
from components.table.gold import id_for_label
from schemas.planned_release import Release
from schemas.release import DatasetRef, Example


def examples_of(release: Release) -> Sequence[Example]:
    """The rows of the pinned data set; refused when the file has changed since it was pinned."""
    return examples_in(release.dataset, release.snapshot.labels)


def distinct_examples(release: Release) -> Iterator[Example]:
    """The rows of the data set's file, each once, however many labels of it are explained: those stand together."""
    return (next(same) for _, same in groupby(examples_of(release), key=_own_id))


def _own_id(example: Example) -> str:
    return example.id if example.asked_class is None else example.id.removesuffix(id_for_label("", example.asked_class))


def shard_of(release: Release, index: int) -> Sequence[Example]:
    """The rows of one shard."""
    n = release.config.attribution.shard_rows
    return examples_of(release)[index * n : (index + 1) * n]


def sampled(examples: Sequence[Example], n: int, seed: int) -> list[Example]:
    """At most `n` of the examples that can be explained, drawn by `seed`, in their order."""
    usable = array("q", (place for place, example in enumerate(examples) if example.problem is None))
    return [examples[place] for place in sorted(Random(seed).sample(usable, min(n, len(usable))))]  # noqa: S311 - no secret


@lru_cache(maxsize=2)
def examples_in(dataset: DatasetRef, labels: tuple[str, ...]) -> Sequence[Example]:
    """The rows of `dataset` under a model's `labels`."""
    now, examples = datasets.load_again(dataset, labels)
    if now.digest != dataset.digest:
        raise InputError("the data set changed while it was being explained", got=dataset.path, next_step="start again")
    return examples

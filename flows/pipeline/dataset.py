"""Rows of a release's pinned data set, read once per process."""

from __future__ import annotations

from functools import lru_cache
from random import Random

from components import datasets
from components.common.errors import InputError
from components.table.gold import id_for_label
from schemas.planned_release import Release
from schemas.release import DatasetRef, Example


def examples_of(release: Release) -> list[Example]:
    """The rows of the pinned data set; refused when the file has changed since it was pinned."""
    return examples_in(release.dataset, release.snapshot.labels)


def distinct_examples(release: Release) -> list[Example]:
    """The rows of the data set's file, each once, however many labels of it are explained."""
    different: dict[str, Example] = {}
    for example in examples_of(release):
        own = example.id if example.asked_class is None else example.id.removesuffix(id_for_label("", example.asked_class))
        different.setdefault(own, example)
    return list(different.values())


def shard_of(release: Release, index: int) -> list[Example]:
    """The rows of one shard."""
    n = release.config.attribution.shard_rows
    return examples_of(release)[index * n : (index + 1) * n]


def sampled(examples: list[Example], n: int, seed: int) -> list[Example]:
    """At most `n` of the examples that can be explained, drawn by `seed`, in their order."""
    usable = [example for example in examples if example.problem is None]
    return sorted(Random(seed).sample(usable, min(n, len(usable))), key=lambda example: example.row)  # noqa: S311 - no secret


@lru_cache(maxsize=2)
def examples_in(dataset: DatasetRef, labels: tuple[str, ...]) -> list[Example]:
    """The rows of `dataset` under a model's `labels`."""
    now, examples = datasets.load_again(dataset, labels)
    if now.digest != dataset.digest:
        raise InputError("the data set changed while it was being explained", got=dataset.path, next_step="start again")
    return examples

"""Rows of the pinned data set: samples and rows of the file are those of a whole list, and no list is held."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from components import datasets
from components.common.errors import InputError
from flows.pipeline import dataset
from schemas.release import Example

LABELS = ("insult", "threat", "spam")


def write(path: Path, rows: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def release_of(path: Path, **options: Any) -> Any:
    """What of a release is read here."""
    pinned, _ = datasets.load(path, limit=None, labels=LABELS, modality="text", **options)
    settings = SimpleNamespace(attribution=SimpleNamespace(shard_rows=4))
    return SimpleNamespace(dataset=pinned, snapshot=SimpleNamespace(labels=LABELS), config=settings)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    dataset.examples_in.cache_clear()
    yield
    dataset.examples_in.cache_clear()


@pytest.mark.parametrize(("n", "seed"), [(0, 0), (1, 0), (5, 1), (5, 2), (99, 0)])
def test_samples_are_those_of_a_whole_list(n: int, seed: int, tmp_path: Path) -> None:
    release = release_of(write(tmp_path / "a.jsonl", [{"text": f"text {i}" if i % 3 else ""} for i in range(40)]))
    examples = dataset.examples_of(release)
    usable = [example for example in examples if example.problem is None]
    drawn = sorted(Random(seed).sample(usable, min(n, len(usable))), key=lambda example: example.row)  # noqa: S311 - no secret
    assert dataset.sampled(examples, n, seed) == dataset.sampled(list(examples), n, seed) == drawn
    assert [e.row for index in range(11) for e in dataset.shard_of(release, index)] == list(range(40))


@pytest.mark.parametrize("per_label", ["each", "gold", None])
def test_every_row_of_the_file_once(per_label: Any, tmp_path: Path) -> None:
    given = [["insult", "spam"], ["spam"], None, ["threat", "insult", "spam"]]
    rows = [{"id": f"r {i}", "text": f"text {i}", "label": label} for i, label in enumerate(given)]
    release = release_of(write(tmp_path / "a.jsonl", rows), per_label=per_label, label_kind="classes")
    assert [example.text for example in dataset.distinct_examples(release)] == [row["text"] for row in rows]


def test_a_data_set_that_changed_since_it_was_pinned_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": "a"}])
    release = release_of(path)
    write(path, [{"text": "b"}])
    with pytest.raises(InputError, match="changed while it was being explained"):
        dataset.examples_of(release)


def test_memory_does_not_grow_with_rows(tmp_path: Path) -> None:
    def peak(n: int) -> int:
        release = release_of(
            write(tmp_path / f"{n}.jsonl", ({"text": f"the film {i} is {'very ' * (i % 40)}good"} for i in range(n)))
        )
        dataset.examples_in.cache_clear()
        tracemalloc.start()
        examples = dataset.examples_of(release)
        assert len(dataset.sampled(examples, 8, 0)) == 8
        assert sum(isinstance(example, Example) for example in dataset.distinct_examples(release)) == n
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(100)  # what libraries need once
    assert (peak(6000) - peak(2000)) / 4000 < 100

"""Cuts of the paired examples: all, by the reference's predicted class, and by each value of each segment column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from components.drift.pairing import PairedExample

#: Slices with fewer examples are not looked at.
MIN_SLICE = 10


def groups(examples: Sequence[PairedExample]) -> Iterator[tuple[str, list[PairedExample]]]:
    """All examples, then every class and segment value with enough of them, in the order of their names."""
    yield "all", list(examples)
    members: dict[str, list[PairedExample]] = {}
    for example in examples:
        for name in (f"class = {example.predictions[0]}", *(f"{_titled(k)} = {v}" for k, v in example.segments.items())):
            members.setdefault(name, []).append(example)
    yield from ((name, some) for name, some in sorted(members.items()) if len(some) >= MIN_SLICE)


def slices(examples: Sequence[PairedExample]) -> Iterator[tuple[str, list[PairedExample]]]:
    """The same, and after all the examples whose answer did not change."""
    for name, members in groups(examples):
        yield name, members
        if name == "all":
            yield "same answer", [example for example in examples if example.same_answer]


def _titled(segment: str) -> str:
    """A segment column called `class` is not the predicted class: under one name its rows would count twice."""
    return f"segment {segment}" if segment == "class" else segment

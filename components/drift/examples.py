"""Paired examples gathered for the statistics: on disk by part, with the texts, classes and cuts that they have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.drift.pairing import PairedExample
from components.drift.parts import PART_ROWS, Columns, Part, Parts
from components.table.units import Floats, Span

Measures = Mapping[str, Callable[[PairedExample], float | None]]

#: Slices with fewer examples are not looked at.
MIN_SLICE = 10


class Cut(NamedTuple):
    """A class, or a value of a segment column, by which examples are cut; `column` is None for the reference's class."""

    column: str | None
    name: str


class Numbered(dict[Any, int]):
    """Numbers things from 0 in the order of their first appearance."""

    def __missing__(self, key: Any) -> int:
        self[key] = len(self)
        return self[key]


@dataclass
class Examples:
    """Examples on disk. In memory are different texts, classes and combinations of cuts, which rows share.

    Columns of the rows: `mass_0`, `mass_1`, `difference` (the reference's), `margin`, `output` (NaN: none), `toward`, `cuts`
    (numbers), `same` (answer), `length` in words, `change` (of the reasons), and one per measure (see `measured`; NaN: no value).
    Of the words: `text` (a number), `reference` and `candidate` (shares), `joined` (to a phrase with the word before).
    """

    parts: Parts = field(default_factory=Parts)
    texts: Numbered = field(default_factory=Numbered)
    towards: Numbered = field(default_factory=Numbered)
    cuts: Numbered = field(default_factory=Numbered)
    combinations: Numbered = field(default_factory=Numbered)

    def __len__(self) -> int:
        return self.parts.n

    def column(self, name: str) -> NDArray[Any]:
        """A column of the rows, of all examples."""
        return self.parts.column(name)

    @cached_property
    def words(self) -> list[str]:
        """The different words, case folded, in alphabetical order."""
        return sorted({text.casefold() for text in self.texts})

    @cached_property
    def word_of(self) -> NDArray[np.int64]:
        """The number of each text's word."""
        numbers = {word: number for number, word in enumerate(self.words)}
        return np.array([numbers[text.casefold()] for text in self.texts], dtype=np.int64)

    @cached_property
    def slices(self) -> list[str]:
        """All examples, then every class and segment value with enough of them, in the order of their names."""
        return ["all", *(cut.name for cut in self._kept)]

    @cached_property
    def members(self) -> NDArray[np.bool_]:
        """`combinations slices`: which slices an example with a combination of cuts is in."""
        found = np.ones((len(self.combinations), 1 + len(self._kept)), bool)
        for number, combination in enumerate(self.combinations):
            found[number, 1:] = [self.cuts[cut] in combination for cut in self._kept]
        return found

    @cached_property
    def _kept(self) -> list[Cut]:
        sizes = np.zeros(len(self.cuts), int)
        counts = np.bincount(self.column("cuts").astype(int), minlength=len(self.combinations))
        for combination, n in zip(self.combinations, counts, strict=True):
            sizes[list(combination)] += n
        return sorted((cut for cut, n in zip(self.cuts, sizes, strict=True) if n >= MIN_SLICE), key=lambda cut: cut.name)


def measured(name: str) -> str:
    """The column of a measure, apart from all others whatever it is called."""
    return f"measured {name}"


def gather(examples: Iterable[PairedExample], measures: Measures | None = None, part_rows: int = PART_ROWS) -> Examples:
    """All of `examples`, one part of them at a time, with what each of the `measures` says of them."""
    found, waiting = Examples(), iter(examples)
    with found.parts as parts:
        while part := list(islice(waiting, part_rows)):
            parts.write(_rows(part, found, measures or {}), _words(part, found))
    return found


def _rows(part: list[PairedExample], found: Examples, measures: Measures) -> Columns:
    own = {
        "mass_0": [e.mass[0] for e in part],
        "mass_1": [e.mass[1] for e in part],
        "difference": [e.differences[0] for e in part],
        "margin": [e.margin for e in part],
        "output": [None if e.outputs is None else e.outputs[0] for e in part],
        "change": [np.abs(e.candidate - e.reference).sum() / 2 for e in part],
        **{measured(name): [measure(e) for e in part] for name, measure in measures.items()},
    }
    return {
        **{name: np.array(values, dtype=float) for name, values in own.items()},
        "toward": np.array([found.towards[e.toward] for e in part], np.int32),
        "cuts": np.array([found.combinations[tuple(found.cuts[Cut(*cut)] for cut in e.cuts)] for e in part], np.int32),
        "same": np.array([e.same_answer for e in part], bool),
        "length": np.array([len(e.units) for e in part], np.int32),
    }


def _words(part: list[PairedExample], found: Examples) -> Columns:
    return {
        "row": np.repeat(np.arange(len(part), dtype=np.int32), [len(e.units) for e in part]),
        "text": np.array([found.texts[text] for e in part for text, _ in e.units], np.int32),
        "reference": np.concatenate([e.reference for e in part]),
        "candidate": np.concatenate([e.candidate for e in part]),
        "joined": np.array([joined for e in part for joined in _joined(e)], bool),
    }


def _joined(example: PairedExample) -> list[bool]:
    """Of every unit whether nothing but blanks of one text stands between it and the one before; patches form no phrases."""
    spans = [span for _, span in example.units]
    if not example.text:
        return [False] * len(spans)
    text = example.text
    return [False, *(text[a[1] : b[0]].isspace() and not _across(example, a, b) for a, b in pairwise(spans))]


def _across(example: PairedExample, before: Span, after: Span) -> bool:
    """Whether the second text of a pair begins between two units."""
    return example.pair_start is not None and before[0] < example.pair_start <= after[0]


def shares_of(part: Part) -> tuple[Floats, Floats]:
    """The words' shares under both versions."""
    return part.words["reference"], part.words["candidate"]

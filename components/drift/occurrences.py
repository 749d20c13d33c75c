"""Words and phrases in the examples: which occur often enough to be tested, and what each does where it occurs.

A phrase is frequent only where it is frequent without its last word (Agrawal and Srikant 1994), so that longer ones grow from
shorter ones; and it is counted only where its place in a table of fixed size was counted often enough (Park, Chen and Yu 1995),
since of rare phrases there are as many as rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.drift.examples import Examples, shares_of
from components.drift.parts import Ints, Part, Sums, find, summed
from components.table.units import Floats

_BUCKET_BITS = 21

#: Knuth's multiplicative hashing: 2⁶⁴ over the golden ratio, odd.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

_ROWS, _WORDS = ("mass_0", "mass_1", "margin", "toward", "cuts"), ("text", "reference", "candidate", "joined")


class Occurrences(NamedTuple):
    """A word or phrase in one example each, `n`: its key, its shares and effects, `n 2`, the example's margin and cuts.

    Shares are summed over its occurrences there; effects are the mean of one, under (reference, candidate).
    """

    key: Ints
    shares: Floats
    effects: Floats
    margin: Floats
    cuts: NDArray[np.int32]

    @property
    def change(self) -> Floats:
        """Candidate's less the reference's effect."""
        return self.effects[:, 1] - self.effects[:, 0]

    def at(self, places: Ints) -> Occurrences:
        """Some of them, any of which may be there several times."""
        return Occurrences(self.key[places], self.shares[places], self.effects[places], self.margin[places], self.cuts[places])


@dataclass(frozen=True)
class Vocabulary:
    """Frequent words and phrases toward a class; `keys`: sorted, by length.

    Of words a key is class · size + word; of longer ones the place of all but the last word among the shorter keys takes the
    class's place.
    """

    words: list[str]
    towards: list[str]
    word_of: Ints
    keys: list[Ints]

    @classmethod
    def of(cls, examples: Examples, minimum: int, longest: int) -> Vocabulary:
        """What occurs in at least `minimum` examples, up to `longest` words."""
        found = cls(examples.words, list(examples.towards), examples.word_of, [])
        for _ in range(longest):
            keys = found._frequent(examples, minimum)
            if not len(keys):
                break
            found.keys.append(keys)
        return found if found.keys else cls(found.words, found.towards, found.word_of, [np.empty(0, np.int64)])

    def read(self, examples: Examples) -> Iterator[Part]:
        """The parts with the columns that occurrences are made of."""
        return examples.parts.read(_ROWS, _WORDS)

    def named(self, level: int, key: int) -> tuple[tuple[str, ...], str]:
        """The words of a key of `level` + 1 words, by its place, and the class."""
        rest, word = divmod(int(self.keys[level][key]), len(self.words))
        before, toward = self.named(level - 1, rest) if level else ((), self.towards[rest])
        return (*before, self.words[word]), toward

    def places(self, part: Part, length: int) -> tuple[Ints, Ints]:
        """Where words, or phrases of `length` that are frequent without their last word, begin; and the codes of their keys."""
        word, size = self.word_of[part.words["text"]], len(self.words)
        start = np.arange(len(word))
        code = part.rows["toward"].astype(np.int64)[part.row] * size + word
        for shorter in range(1, length):
            place, frequent = find(self.keys[shorter - 1], code)
            follows = np.minimum(start + shorter, len(word) - 1)
            goes_on = frequent & (start + shorter < len(word)) & part.words["joined"][follows]
            start, code = start[goes_on], place[goes_on] * size + word[follows[goes_on]]
        return start, code

    def _frequent(self, examples: Examples, minimum: int) -> Ints:
        """The next longer keys, from two readings: by places in a table, and exactly of those whose place is frequent."""
        buckets, counts = np.zeros(1 << _BUCKET_BITS, np.int32), Sums(1)
        for codes in self._once_per_example(examples):
            np.add.at(buckets, _bucket(codes), 1)
        for codes in self._once_per_example(examples):
            likely = codes[buckets[_bucket(codes)] >= minimum]
            counts.add(likely, np.ones(len(likely)))
        counts.finished()
        return counts.keys[counts.values[:, 0] >= minimum]

    def _once_per_example(self, examples: Examples) -> Iterator[Ints]:
        for part in examples.parts.read(["toward"], ["text", "joined"]):
            start, code = self.places(part, len(self.keys) + 1)
            different, place = np.unique(code, return_inverse=True)
            pairs = np.unique(part.row[start] * np.int64(len(different)) + place)
            yield different[pairs % max(len(different), 1)]


def _bucket(codes: Ints) -> NDArray[np.uint64]:
    return (codes.astype(np.uint64) * _MULTIPLIER) >> np.uint64(64 - _BUCKET_BITS)


def occurrences(part: Part, vocabulary: Vocabulary, level: int, typical: tuple[float, float]) -> Occurrences:
    """The frequent words (`level` 0) or phrases of `level` + 1 words in a part, once per example.

    typical: what effects are measured in, as `typical_decisions` gives it.
    """
    start, code = vocabulary.places(part, level + 1)
    key, frequent = find(vocabulary.keys[level], code)
    start, key = start[frequent], key[frequent]
    together = [sum(side[start + k] for k in range(level + 1)) for side in shares_of(part)]
    pair, sums = summed(
        part.row[start] * np.int64(max(len(vocabulary.keys[level]), 1)) + key,
        np.stack([*together, np.ones(len(start))], axis=1),
    )
    row, key = np.divmod(pair, max(len(vocabulary.keys[level]), 1))
    shares = sums[:, :2]
    scale = np.stack([part.rows["mass_0"][row] / typical[0], part.rows["mass_1"][row] / typical[1]], axis=1)
    return Occurrences(key, shares, scale * shares / sums[:, 2:], part.rows["margin"][row], part.rows["cuts"][row])

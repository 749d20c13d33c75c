"""Search for the slice of the examples in which the reasons changed most, with the search counted in its p.

A slice is one condition or several: a segment's value, the reference's answer, the length, a set of words that occurs. How much a
slice stands out is z, the distance of its mean reason change from the mean of all, over the error of a random draw of as many
examples. The largest z of all slices is held against the largest of them after the changes were dealt to the examples at random
(maxT, Westfall and Young 1993): overlap between slices costs nothing, and a wider search costs what it should.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from components.drift.pairing import MIN_SLICE, PairedExample, titled
from components.drift.sets import WordSet
from components.drift.statistics.agreement import reason_change
from components.table.units import Floats
from schemas.drift import ChangedSlice

Mask = NDArray[np.bool_]

_PERMUTATIONS = 999
_AT_ONCE = 111
_MOST_SLICES = 2000

#: Chance of naming a slice where none differs from the others.
LEVEL = 0.05


def most_changed(examples: Sequence[PairedExample], sets: Sequence[WordSet], seed: int = 0) -> ChangedSlice | None:
    """The slice with the largest z; None where no slice is smaller than all and large enough, or nothing changed."""
    changes = np.array([reason_change(example) for example in examples])
    found = list(_slices(examples, sets))
    if not found or float(changes.std()) == 0.0:
        return None
    members = sparse.csr_matrix(np.stack([mask for _, mask in found])).astype(float)
    z = _z(members, changes[:, None])[:, 0]
    best = int(np.argmax(z))
    conditions, mask = found[best]
    p = _p_of_maximum(members, changes, float(z[best]), seed)
    return ChangedSlice(
        conditions=conditions,
        n=int(mask.sum()),
        reason_change=float(changes[mask].mean()),
        elsewhere=float(changes[~mask].mean()),
        z=float(z[best]),
        p_value=p,
        searched=len(found),
        stands_out=p <= LEVEL,
    )


def _p_of_maximum(members: sparse.csr_matrix, changes: Floats, largest: float, seed: int) -> float:
    """Share of the random deals, the given one among them, in which some slice reaches `largest`."""
    random = np.random.default_rng(seed)
    reached = 1
    for _ in range(_PERMUTATIONS // _AT_ONCE):
        dealt = random.permuted(np.tile(changes, (_AT_ONCE, 1)), axis=1).T
        reached += int((_z(members, dealt).max(axis=0) >= largest - 1e-9).sum())
    return reached / (_PERMUTATIONS + 1)


def _z(members: sparse.csr_matrix, changes: Floats) -> Floats:
    """Slices × deals: mean within less mean of all, over the error of a draw without replacement."""
    total, sizes = changes.shape[0], np.asarray(members.sum(axis=1))
    error = changes.std(axis=0, ddof=1) * np.sqrt((1 - sizes / total) / sizes)
    return np.asarray((members @ changes / sizes - changes.mean(axis=0)) / error)


def _slices(examples: Sequence[PairedExample], sets: Sequence[WordSet]) -> Iterator[tuple[tuple[str, ...], Mask]]:
    """Conjunctions of one condition of each kind, the simpler ones first, each group of examples once; at most `_MOST_SLICES`."""
    kinds = [kind for kind in _conditions(examples, sets) if kind]
    seen: set[bytes] = set()
    for depth in range(1, len(kinds) + 1):
        for chosen in combinations(kinds, depth):
            for conditions in product(*(kind.items() for kind in chosen)):
                mask = np.logical_and.reduce([mask for _, mask in conditions])
                if MIN_SLICE <= mask.sum() < len(examples) and mask.tobytes() not in seen:
                    seen.add(mask.tobytes())
                    yield tuple(name for name, _ in conditions), mask
                if len(seen) == _MOST_SLICES:
                    return


def _conditions(examples: Sequence[PairedExample], sets: Sequence[WordSet]) -> Iterator[dict[str, Mask]]:
    """The conditions of each kind that enough examples meet, by name: every segment column, answer, length, sets of words."""
    for column in sorted({column for example in examples for column in example.segments}):
        yield _large_enough(
            (f"{titled(column)} = {v}", v, [e.segments.get(column) for e in examples]) for v in _values(examples, column)
        )
    answers = [name for example in examples for name in example.class_slice]  # of every example, or of none
    yield _large_enough((name, name, answers) for name in sorted(set(answers)))
    yield _lengths(examples)
    yield _containing(examples, sets)


def _values(examples: Sequence[PairedExample], column: str) -> list[str]:
    return sorted({example.segments[column] for example in examples if column in example.segments})


def _large_enough(conditions: Iterator[tuple[str, str, Sequence[str | None]]]) -> dict[str, Mask]:
    made = {name: np.array([value == wanted for value in values]) for name, wanted, values in conditions}
    return {name: mask for name, mask in made.items() if mask.sum() >= MIN_SLICE}


def _lengths(examples: Sequence[PairedExample]) -> dict[str, Mask]:
    """Thirds of the examples by number of words."""
    lengths = np.array([len(example.units) for example in examples])
    low, high = (int(np.quantile(lengths, share)) for share in (1 / 3, 2 / 3))
    made = {
        f"up to {low} words": lengths <= low,
        f"{low + 1} to {high} words": (lengths > low) & (lengths <= high),
        f"more than {high} words": lengths > high,
    }
    return {name: mask for name, mask in made.items() if mask.sum() >= MIN_SLICE}


def _containing(examples: Sequence[PairedExample], sets: Sequence[WordSet]) -> dict[str, Mask]:
    texts = [{text for text, _ in example.units} for example in examples]
    words = set().union(*texts)
    members = {one.name: set(filter(one.holds, words)) for one in sets}  # a word is looked at once, not in every text
    made = {f"with {name}": np.array([not some.isdisjoint(text) for text in texts]) for name, some in members.items()}
    return {name: mask for name, mask in made.items() if mask.sum() >= MIN_SLICE}

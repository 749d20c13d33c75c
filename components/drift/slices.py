"""Search for the slice of the examples in which the reasons changed most, with the search counted in its p.

A slice is one condition or several: a segment's value, the reference's answer, the length, a set of words that occurs. How much a
slice stands out is z, the distance of its mean reason change from the mean of all, over the error of a random draw of as many
examples. The largest z of all slices is held against the largest of them after the changes were dealt to the examples at random
(maxT, Westfall and Young 1993): overlap between slices costs nothing, and a wider search costs what it should.

Examples that meet the same conditions are one cell, and slices are sums over cells: per example a change and a cell are held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from components.drift.examples import MIN_SLICE, Examples
from components.drift.sets import WordSet, texts_held
from components.table.units import Floats
from schemas.drift import ChangedSlice

Mask = NDArray[np.bool_]

_PERMUTATIONS = 999

#: Values dealt at once: bounds memory, changes no number.
_DEALT = 1 << 20
_MOST_SLICES = 2000

#: Chance of naming a slice where none differs from the others.
LEVEL = 0.05


@dataclass(frozen=True)
class _Cells:
    """Examples by what they meet: the cell of each, how many a cell holds, and by kind the conditions, each a mask of cells."""

    of_example: NDArray[np.int64]
    sizes: NDArray[np.int64]
    kinds: list[dict[str, Mask]]


def most_changed(examples: Examples, sets: Sequence[WordSet], seed: int = 0) -> ChangedSlice | None:
    """The slice with the largest z; None where no slice is smaller than all and large enough, or nothing changed."""
    if not len(examples):
        return None
    changes, cells = examples.column("change"), _cells(examples, sets)
    found = list(_slices(cells, len(changes)))
    if not found or float(changes.std()) == 0.0:
        return None
    members = sparse.csr_matrix(np.stack([mask for _, mask in found])).astype(float)
    z = _z(members, cells, changes[None])[:, 0]
    best = int(np.argmax(z))
    conditions, mask = found[best]
    p, inside = _p_of_maximum(members, cells, changes, float(z[best]), seed), mask[cells.of_example]
    return ChangedSlice(
        conditions=conditions,
        n=int(inside.sum()),
        reason_change=float(changes[inside].mean()),
        elsewhere=float(changes[~inside].mean()),
        z=float(z[best]),
        p_value=p,
        searched=len(found),
        stands_out=p <= LEVEL,
    )


def _p_of_maximum(members: sparse.csr_matrix, cells: _Cells, changes: Floats, largest: float, seed: int) -> float:
    """Share of the random deals, the given one among them, in which some slice reaches `largest`."""
    random = np.random.default_rng(seed)
    reached, left, at_once = 1, _PERMUTATIONS, max(1, _DEALT // len(changes))
    while left:
        dealt = random.permuted(np.tile(changes, (min(at_once, left), 1)), axis=1)
        reached += int((_z(members, cells, dealt).max(axis=0) >= largest - 1e-9).sum())
        left -= len(dealt)
    return reached / (_PERMUTATIONS + 1)


def _z(members: sparse.csr_matrix, cells: _Cells, deals: Floats) -> Floats:
    """Slices × deals (`deals examples`): mean within less mean of all, over the error of a draw without replacement."""
    total, sizes = deals.shape[1], np.asarray(members @ cells.sizes)[:, None]
    sums = np.stack([np.bincount(cells.of_example, deal, len(cells.sizes)) for deal in deals], axis=1)
    error = deals[0].std(ddof=1) * np.sqrt((1 - sizes / total) / sizes)  # a deal changes neither spread nor mean
    return np.asarray((members @ sums / sizes - deals[0].mean()) / error)


def _slices(cells: _Cells, n: int) -> Iterator[tuple[tuple[str, ...], Mask]]:
    """Conjunctions of one condition of each kind, the simpler ones first, each group of examples once; at most `_MOST_SLICES`."""
    seen: set[bytes] = set()
    for depth in range(1, len(cells.kinds) + 1):
        for chosen in combinations(cells.kinds, depth):
            for conditions in product(*(kind.items() for kind in chosen)):
                mask = np.logical_and.reduce([mask for _, mask in conditions])
                if MIN_SLICE <= cells.sizes[mask].sum() < n and mask.tobytes() not in seen:
                    seen.add(mask.tobytes())
                    yield tuple(name for name, _ in conditions), mask
                if len(seen) == _MOST_SLICES:
                    return


def _cells(examples: Examples, sets: Sequence[WordSet]) -> _Cells:
    """The conditions of each kind that enough examples meet, by name: every segment column, answer, length, sets of words."""
    lengths, cuts = examples.column("length"), examples.column("cuts")
    low, high = (int(np.quantile(lengths, share)) for share in (1 / 3, 2 / 3))
    third, meets = np.digitize(lengths, [low, high], right=True), _meets(examples, sets)
    codes = np.array([third, cuts, *_packed(meets)])
    found, of_example, sizes = np.unique(codes, axis=1, return_inverse=True, return_counts=True)
    first = np.zeros(len(sizes), np.int64)
    first[of_example] = np.arange(len(of_example))  # any example of the cell
    thirds = (f"up to {low} words", f"{low + 1} to {high} words", f"more than {high} words")
    kinds = [
        *_kinds_of_cuts(examples, found[1]),
        {name: found[0] == number for number, name in enumerate(thirds)},
        {f"with {one.name}": mask for one, mask in zip(sets, meets[:, first], strict=True)},
    ]
    enough = [{name: mask for name, mask in kind.items() if sizes[mask].sum() >= MIN_SLICE} for kind in kinds]
    return _Cells(of_example, sizes, [kind for kind in enough if kind])


def _packed(meets: NDArray[np.bool_]) -> NDArray[Any]:
    """Eight sets in a number."""
    return np.packbits(meets, axis=0) if len(meets) else np.zeros((0, meets.shape[1]), np.uint8)


def _kinds_of_cuts(examples: Examples, combination: NDArray[Any]) -> Iterator[dict[str, Mask]]:
    """Values of every segment column, then classes, by name; `combination`: of cuts, of every cell."""
    held = list(examples.combinations)
    columns = sorted({cut.column for cut in examples.cuts if cut.column is not None})
    for column in (*columns, None):
        names = sorted(cut for cut in examples.cuts if cut.column == column)
        having = {cut.name: np.array([examples.cuts[cut] in some for some in held], dtype=bool) for cut in names}
        yield {name: mask[combination] for name, mask in having.items()}


def _meets(examples: Examples, sets: Sequence[WordSet]) -> NDArray[np.bool_]:
    """`sets examples`: whether a word of the set occurs. A word is looked at once, not in every text."""
    held = texts_held(examples, sets)
    found = np.zeros((len(sets), len(examples)), bool)
    for part in examples.parts.read(["toward"], ["text"]):
        for one, meets in zip(held, found, strict=True):
            meets[part.first + part.row[one[part.words["text"]]]] = True
    return found

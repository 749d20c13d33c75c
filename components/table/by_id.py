"""Values of many rows by id, in a few bytes a row: a digest stands for the id."""

from __future__ import annotations

from array import array
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ById:
    """Values of rows by their ids, 8 bytes a row beside the values. Ids that share a digest are for the caller to tell apart."""

    def __init__(self, digests: array[int], values: NDArray[Any]) -> None:
        """`digests`: of the rows' ids (`id_digest`), unsigned; `values`: `rows`, in the same order."""
        known = np.array(digests, dtype=np.uint64)
        order = np.argsort(known, kind="stable")
        self._digests, self._values = known[order], values[order]

    def __len__(self) -> int:
        return len(self._digests)

    def of(self, name: str) -> NDArray[Any]:
        """The values of all rows whose id has this one's digest, in their order; almost always one or none."""
        digest = np.uint64(id_digest(name))  # of another type the whole array would be converted
        first, end = (int(np.searchsorted(self._digests, digest, side=side)) for side in ("left", "right"))
        return self._values[first:end]


def id_digest(name: str) -> int:
    """64 bits of an id: equal ids have equal digests, others almost never."""
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def repeated(digests: array[int]) -> set[int]:
    """The digests that occur more than once: ids are compared where theirs do. None of most sets of ids, so it is held whole."""
    ordered = np.sort(np.array(digests, dtype=np.uint64))
    return set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())

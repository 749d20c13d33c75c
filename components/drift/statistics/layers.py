"""Drift per layer: the paired statistics of each layer's own attribution (deploy/docs/method.md)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.spatial.distance import jensenshannon

from components.drift.pairing import PairedExample
from components.drift.statistics.agreement import rank_correlation
from components.table.units import Floats, reason_change
from schemas.drift import LayerProfile, WordShift


class LayerSums:
    """Sums over examples, layer by layer, as they stream past."""

    def __init__(self) -> None:
        self._n = 0
        self._numbers: set[int] = set()  # of layers, of either version
        self._shares: tuple[Floats | float, Floats | float] = (0.0, 0.0)
        self._agreement: Floats = np.zeros((2, 0))  # sum and number of those known, `2 layers`
        self._change: Floats = np.zeros((2, 0))

    @classmethod
    def of(cls, examples: Iterable[PairedExample]) -> LayerSums:
        """The sums over all of `examples`."""
        sums = cls()
        for example in examples:
            sums.add(example)
        return sums

    def add(self, example: PairedExample) -> None:
        """One example more."""
        self._n += 1
        self._numbers |= {len(side) for side in example.layer_shares}
        if len(self._numbers) > 1:  # there is no profile then
            return
        self._shares = (self._shares[0] + example.layer_shares[0], self._shares[1] + example.layer_shares[1])
        if _comparable(example):
            reference, candidate = _layers(example)
            self._agreement = _added(self._agreement, rank_correlation(reference, candidate))
            self._change = _added(self._change, reason_change(reference, candidate))

    def profile(self) -> LayerProfile | None:
        """Mass, agreement and change per layer; None when the two versions have different numbers of layers."""
        if len(self._numbers) != 1:
            return None
        a, b = (np.asarray(side) / self._n for side in self._shares)
        change = _means(self._change)
        return LayerProfile(
            reference=tuple(a.tolist()),
            candidate=tuple(b.tolist()),
            distance=float(jensenshannon(a, b, base=2)),
            rank_agreement=_means(self._agreement),
            reason_change=change,
            largest=_largest(change),
        )


def words_by_layer(examples: Iterable[PairedExample], shifts: Sequence[WordShift]) -> list[tuple[float, ...]]:
    """Of every shift the mean paired change of the word's signed share in each layer's own attribution; empty: cannot be told."""
    sums: list[list[Floats]] = [[] for _ in shifts]
    for example in examples:
        words = _words(example) if _comparable(example) else []
        for shift, found in zip(shifts, sums, strict=True):
            if shift.word in words and example.toward == shift.toward and example.is_in(shift.slice):
                change = _word_change(example, words, shift.word)
                found[:] = [found[0] + change, found[1] + 1] if found else [change, np.ones(1)]
    return [tuple((found[0] / found[1]).tolist()) if found else () for found in sums]


def _word_change(example: PairedExample, words: Sequence[str], word: str) -> Floats:
    reference, candidate = _layers(example)
    where = [i for i, text in enumerate(words) if text == word]
    return np.asarray((candidate - reference)[:, where].sum(1))


def _words(example: PairedExample) -> list[str]:
    return [text.casefold() for text, _ in example.units]


def _comparable(example: PairedExample) -> bool:
    return example.layers is not None and len(example.layers[0]) == len(example.layers[1])


def _layers(example: PairedExample) -> tuple[Floats, Floats]:
    if example.layers is None:
        raise ValueError("the example has no attributions by layer")
    return example.layers


def _added(sums: Floats, values: Floats) -> Floats:
    """Sum and number of the values that are known, `2 layers`, with those of one example more."""
    known = ~np.isnan(values)
    one = np.stack([np.where(known, values, 0.0), known])
    return sums + one if sums.size else one


def _means(sums: Floats) -> tuple[float | None, ...]:
    """Means over the examples with a value; None for a layer without any."""
    return tuple(float(total / n) if n else None for total, n in sums.T)


def _largest(change: Sequence[float | None]) -> int | None:
    """The first layer with the largest change; None when nothing changed or nothing is known."""
    known = [value or 0.0 for value in change]
    return int(np.argmax(known)) if known and max(known) > 0 else None

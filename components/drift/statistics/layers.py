"""Drift per layer: the paired statistics of each layer's own attribution (deploy/docs/method.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.spatial.distance import jensenshannon

from components.drift.pairing import PairedExample
from components.drift.statistics.agreement import rank_correlation
from components.table.units import Floats, reason_change
from schemas.drift import LayerProfile


def layer_profile(examples: Sequence[PairedExample]) -> LayerProfile | None:
    """Mass, agreement and change per layer; None when the two versions have different numbers of layers."""
    if not examples or len({len(side) for e in examples for side in e.layer_shares}) != 1:
        return None
    a, b = (np.mean([e.layer_shares[side] for e in examples], axis=0) for side in (0, 1))
    change = _per_layer(examples, reason_change)
    return LayerProfile(
        reference=tuple(a.tolist()),
        candidate=tuple(b.tolist()),
        distance=float(jensenshannon(a, b, base=2)),
        rank_agreement=_per_layer(examples, rank_correlation),
        reason_change=change,
        largest=_largest(change),
    )


def word_by_layer(examples: Sequence[PairedExample], word: str, toward: str) -> tuple[float, ...]:
    """Mean paired change of a word's signed share in each layer's own attribution; empty when it cannot be told."""
    changes = [_word_change(e, word) for e in examples if e.toward == toward and _comparable(e) and word in _words(e)]
    return tuple(np.mean(changes, axis=0).tolist()) if changes else ()


def _word_change(example: PairedExample, word: str) -> Floats:
    reference, candidate = _layers(example)
    where = [i for i, text in enumerate(_words(example)) if text == word]
    return np.asarray((candidate - reference)[:, where].sum(1))


def _words(example: PairedExample) -> list[str]:
    return [text.casefold() for text, _ in example.units]


def _comparable(example: PairedExample) -> bool:
    return example.layers is not None and len(example.layers[0]) == len(example.layers[1])


def _layers(example: PairedExample) -> tuple[Floats, Floats]:
    if example.layers is None:
        raise ValueError("the example has no attributions by layer")
    return example.layers


def _per_layer(examples: Sequence[PairedExample], measure: Callable[[Floats, Floats], Floats]) -> tuple[float | None, ...]:
    """Means over the examples, NaN left out; None for a layer with no value."""
    values = [measure(*_layers(e)) for e in examples if _comparable(e)]
    if not values:
        return ()
    table = np.array(values)
    known = ~np.isnan(table)
    means = np.where(known, table, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    return tuple(float(mean) if n else None for mean, n in zip(means, known.sum(0), strict=True))


def _largest(change: Sequence[float | None]) -> int | None:
    """The first layer with the largest change; None when nothing changed or nothing is known."""
    known = [value or 0.0 for value in change]
    return int(np.argmax(known)) if known and max(known) > 0 else None

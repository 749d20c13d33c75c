"""Infidelity and max-sensitivity (Yeh et al. 2019, "On the (in)fidelity and sensitivity of explanations").

Infidelity (definition 2.1) asks over random sets of removed tokens or patches whether attributions add up. Attributions are over
the content tokens of one row and in the unit of f, the explained logit: `content`. A set I marks what is removed; Iᵀφ is the sum
of φ over it, and f(x) − f(x_I) is what its removal costs the logit. Max-sensitivity (definition 2.2) asks whether they hold still
when the input is nudged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from calig.metrics.perturbation import BoolArray, FloatArray, PerturbedInput, Source, score_removals

#: Perturbed inputs → logits `inputs classes`.
LogitScorer = Callable[[Sequence[PerturbedInput]], FloatArray]

# Keeps these sets apart from the random control's orders, which are drawn from the same seed and row.
_SETS_STREAM = 1


@dataclass(frozen=True, eq=False)
class Removals:
    """Sets to remove from one row: its source, the sets `draws content`, and f: logits `inputs classes` → `inputs`."""

    source: Source
    removed: BoolArray
    explained: Callable[[FloatArray], FloatArray]


def random_sets(n_content: int, *, draws: int, seed: int, row: int) -> BoolArray:
    """Random non-empty sets of the content tokens, `draws content`: a size drawn evenly from 1 … n, then a set of that size.

    Even sizes, so that single tokens and nearly empty inputs both count. They depend on (seed, row) alone, not on shards.
    """
    random = np.random.default_rng([seed, row, _SETS_STREAM])
    sizes = random.integers(1, n_content + 1, size=draws)
    ranks = random.random((draws, n_content)).argsort(axis=1).argsort(axis=1)
    return np.asarray(ranks < sizes[:, None])


def logit_drops(rows: Sequence[Removals], *, logits: LogitScorer) -> list[FloatArray]:
    """f(x) − f(x_I) of every set of each row, `draws`, from a single call of `logits`."""
    nothing_first = [np.pad(row.removed, ((1, 0), (0, 0))) for row in rows]
    scored = score_removals([row.source for row in rows], nothing_first, logits)
    values = [row.explained(part) for row, part in zip(rows, scored, strict=True)]
    return [f[0] - f[1:] for f in values]


def infidelity(attributions: FloatArray, removed: BoolArray, drops: FloatArray) -> FloatArray:
    """E[(Iᵀφ − (f(x) − f(x_I)))²], logits²; 0 when f is additive and φ says how; lower is better.

    Args:
        attributions: φ, `… content`, logits.
        removed: the sets I, `draws content`.
        drops: f(x) − f(x_I), `draws`.
    """
    return _mean_squared_error(_sums(attributions, removed), drops)


def normalised_infidelity(attributions: FloatArray, removed: BoolArray, drops: FloatArray) -> FloatArray:
    """Infidelity of βφ with the best β for this row, E[Iᵀφ (f(x) − f(x_I))] / E[(Iᵀφ)²]; lower is better. Arguments as above.

    The scale of φ no longer matters, so that explanations in other units can be compared. Neither does its overall sign, as
    in Yeh et al.: β may be negative. An attribution of zeros has E[(f(x) − f(x_I))²].
    """
    sums = _sums(attributions, removed)
    squares = (sums**2).mean(axis=-1)
    best = np.divide((sums * drops).mean(axis=-1), squares, out=np.zeros_like(squares), where=squares > 0)
    return _mean_squared_error(best[..., None] * sums, drops)


def _sums(attributions: FloatArray, removed: BoolArray) -> FloatArray:
    """Iᵀφ, `… draws`."""
    return np.asarray(attributions @ removed.T.astype(np.float64))


def _mean_squared_error(sums: FloatArray, drops: FloatArray) -> FloatArray:
    return np.asarray(((sums - drops) ** 2).mean(axis=-1))


# Keeps the shifts apart from what else is drawn from the same seed and row.
_SHIFTS_STREAM = 2


def each_uniform_shift(shape: tuple[int, ...], *, draws: int, radius: float, seed: int, row: int) -> Iterator[FloatArray]:
    """`draws` shifts δ of the given shape, every entry even in ±`radius`, so that ‖δ‖∞ ≤ radius; they depend on (seed, row).

    One after the other: of a long text, not all of them fit into memory together.
    """
    random = np.random.default_rng([seed, row, _SHIFTS_STREAM])
    for _ in range(draws):
        yield random.uniform(-radius, radius, size=shape)


def max_sensitivity(attribution: FloatArray, shifted: FloatArray) -> float:
    """Largest ‖φ(x + δ) − φ(x)‖ / ‖φ(x)‖ over the draws of δ, Euclidean norms; 0: the map holds still; lower is better.

    NaN for an attribution of zeros.

    Args:
        attribution: φ(x), `content`.
        shifted: φ(x + δ) of every draw, toward the same class, `draws content`.
    """
    size = float(np.linalg.norm(attribution))
    if not size > 0:
        return float("nan")
    return float(np.linalg.norm(shifted - attribution, axis=-1).max() / size)

"""The layer × word flow of a row: what each layer contributes to each word, summed from the tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calig.words import word_owners
from components.report.payload.units import Floats, Integers, Units

#: Most words of a text whose layers are shown; the rest are summed. All patches of an image are shown.
MAX_WORDS = 40


@dataclass(frozen=True, slots=True)
class Flow:
    """Relevance in logits by layer: `cells` is `layers places`, one place per shown unit, then the rest, then special tokens.

    Every row of `cells` sums to f(x) − f(x') up to the layer's residual. `attention` is what attention rollout carries
    from each place to the read-out position, `places`, ≥ 0; all zeros when it is not known.
    """

    shown: Integers
    cells: Floats
    attention: Floats


@dataclass(frozen=True, slots=True)
class Tokens:
    """A row's tokens: characters (−1 for special ones and patches), content or not, `seq`; relevance `layers seq`."""

    starts: NDArray[Any]
    ends: NDArray[Any]
    content: NDArray[np.bool_]
    layers: NDArray[Any]
    attention: NDArray[Any]


def flow_of(units: Units, tokens: Tokens, n_drawn: int, *, all_units: bool) -> Flow:
    """The flow over the strongest `MAX_WORDS` of the first `n_drawn` units, in reading order, or over all of them."""
    shown = np.arange(n_drawn) if all_units else strongest(units.values[:n_drawn], MAX_WORDS)
    place = np.full(len(units.values) + 1, len(shown))  # what is not shown is summed as the rest …
    place[shown] = np.arange(len(shown))
    place[-1] = len(shown) + 1  # … and special tokens come last
    of_token = place[owners(units, tokens)]
    cells = np.zeros((len(shown) + 2, len(tokens.layers)))
    np.add.at(cells, of_token, tokens.layers.T)
    attention = np.zeros(len(shown) + 2)
    if len(tokens.attention) == len(of_token):
        np.add.at(attention, of_token, tokens.attention)
    return Flow(shown, np.ascontiguousarray(cells.T), attention)


def owners(units: Units, tokens: Tokens) -> Integers:
    """The unit that each token belongs to, `seq`; −1 for special tokens."""
    if not len(units.values):
        return np.full(len(tokens.content), -1)
    patch = np.minimum(np.cumsum(tokens.content) - 1, len(units.values) - 1)
    word = word_owners(units.starts, units.ends, tokens.starts, tokens.ends)
    return np.where(tokens.content, np.where(tokens.starts < 0, patch, word), -1)


def strongest(values: Floats, most: int) -> Integers:
    """Indices of the `most` values of the largest size, in reading order."""
    return np.sort(np.argsort(-np.abs(values), kind="stable")[:most])

"""Perturbed inputs: the tokens or patches that a perturbation removes, and the inputs without them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Token id that stands for the mean of all token embeddings, for models with neither a mask nor a padding token.
MEAN_EMBEDDING = -1

# Shares such as 0.1 × 30 land a hair above the whole number they mean.
_ROUNDING = 1e-9


#: How content is removed. Texts: a token in its place, or deletion from the attention mask; images: black or blurred patches.
PerturbationKind = Literal["replace", "delete", "zero", "blur"]
ImageFill = Literal["zero", "blur"]


@dataclass(frozen=True)
class Perturbation:
    """How content is removed, and for `replace` the token id that is put in its place."""

    kind: PerturbationKind
    replacement_id: int = MEAN_EMBEDDING


@dataclass(frozen=True, eq=False)
class PerturbedText:
    """Token ids `seq` as the model gets them: those that were attributed, the removed ones replaced or deleted.

    attended: which positions may be attended to, `seq`; None: all. Deleted tokens keep their place, so positions stay.
    original_ids: before anything was replaced, `seq`; None: the same. They say where a model reads that looks for padding.
    token_types: `seq`, of pairs of texts; None: zeros.
    """

    input_ids: IntArray
    attended: BoolArray | None = None
    original_ids: IntArray | None = None
    token_types: IntArray | None = None


@dataclass(frozen=True, eq=False)
class PerturbedImage:
    """An image and the patches `patches` (row by row from the top left) that are taken from a black or blurred copy of it."""

    path: Path
    removed: BoolArray
    fill: ImageFill = "zero"


@dataclass(frozen=True, eq=False)
class PerturbedDocument:
    """A text in windows without the content tokens marked in `removed` (`content`): its logits are the mean of its windows'.

    Windows are made one by one, when they are asked for: hundreds of perturbed long texts fit into memory that way.
    """

    source: TextSource
    removed: BoolArray

    @property
    def n_windows(self) -> int:
        """Windows of the text."""
        return len(self.source.windows)

    def window(self, number: int) -> PerturbedText:
        """One window as the model gets it, with the special tokens around the text."""
        return self.source.window(number, self.removed)


PerturbedInput = PerturbedText | PerturbedImage | PerturbedDocument

#: Perturbed inputs → class probabilities `inputs classes`; of a regression its outputs, `inputs 1`.
Scorer = Callable[[Sequence[PerturbedInput]], FloatArray]


@dataclass(frozen=True, eq=False)
class TextSource:
    """An attributed text: token ids `seq`, which of them are content `seq`, and the id that replaces removed ones.

    With `deletes`, removed tokens are deleted from the attention mask instead. Special tokens, and the kept side of a pair, are
    never touched, and nothing is decoded and tokenised again. windows: start and end (exclusive) in `seq` of the stretches in
    which a text beyond the model's limit was attributed; none: it was attributed in one piece. A token that lies in two windows
    is removed in both, and one before the first or after the last, such as of the other text of a pair, in all. token_types: as
    in `PerturbedText`.
    """

    input_ids: IntArray
    content: BoolArray
    replacement_id: int
    deletes: bool = False
    windows: tuple[tuple[int, int], ...] = ()
    token_types: IntArray | None = None

    @property
    def n_content(self) -> int:
        """Tokens that can be removed."""
        return int(self.content.sum())

    def without(self, removed: BoolArray) -> PerturbedText | PerturbedDocument:
        """The input without the content tokens marked in `removed` (`content`)."""
        if self.windows:
            return PerturbedDocument(self, removed)
        return self._perturbed(self.input_ids, self._gone(removed), self.token_types)

    def window(self, number: int, removed: BoolArray) -> PerturbedText:
        """The window of this number without the content tokens of the whole text that are marked in `removed` (`content`)."""
        cut = (self.windows[0][0], self.windows[-1][1])
        places = window_positions(len(self.input_ids), cut, self.windows[number])
        types = None if self.token_types is None else self.token_types[places]
        return self._perturbed(self.input_ids[places], self._gone(removed)[places], types)

    def _gone(self, removed: BoolArray) -> BoolArray:
        gone = np.zeros(len(self.input_ids), dtype=bool)
        gone[self.content] = removed
        return gone

    def _perturbed(self, ids: IntArray, gone: BoolArray, types: IntArray | None) -> PerturbedText:
        if self.deletes:
            return PerturbedText(ids, attended=~gone, token_types=types)
        return PerturbedText(np.where(gone, self.replacement_id, ids), original_ids=ids, token_types=types)


def window_positions(length: int, cut: tuple[int, int], span: tuple[int, int]) -> IntArray:
    """Positions in a row of `length` that one of its windows holds: its `span`, and all outside of what is `cut` into windows.

    Both are start and end (exclusive). Outside are special tokens, and the other text of a pair.
    """
    return np.concatenate([np.arange(cut[0]), np.arange(*span), np.arange(cut[1], length)])


@dataclass(frozen=True, eq=False)
class ImageSource:
    """An attributed image of `n_content` patches; removed ones are taken from its black (`zero`) or blurred (`blur`) copy."""

    path: Path
    n_content: int
    fill: ImageFill = "zero"

    def without(self, removed: BoolArray) -> PerturbedImage:
        """The image without the patches marked in `removed` (`content`)."""
        return PerturbedImage(self.path, removed, self.fill)


Source = TextSource | ImageSource


def score_removals(sources: Sequence[Source], removals: Sequence[BoolArray], scorer: Scorer) -> list[FloatArray]:
    """What `scorer` gives, `removals classes`, for each source without what its `removals` (`removals content`) mark.

    One call of `scorer` for all; equal inputs of a source are scored once.
    """
    inputs: list[PerturbedInput] = []
    places: list[IntArray] = []
    for source, removed in zip(sources, removals, strict=True):
        unique, inverse = np.unique(removed, axis=0, return_inverse=True)
        places.append(len(inputs) + inverse.reshape(-1))
        inputs.extend(source.without(mask) for mask in unique)
    scored = scorer(inputs) if inputs else np.empty((0, 0))
    return [scored[place] for place in places]


def check_fractions(fractions: Sequence[float]) -> tuple[float, ...]:
    """`fractions` as given; ValueError unless they rise strictly and lie between 0 and 1, both excluded."""
    steps = np.diff([0.0, *fractions, 1.0])
    if len(fractions) == 0 or not (steps > 0).all():
        raise ValueError("fractions must rise strictly and lie between 0 and 1, both excluded")
    return tuple(fractions)


def curve_points(fractions: Sequence[float]) -> tuple[float, ...]:
    """The fractions of a whole curve: 0 (nothing), the configured ones, 1 (all content)."""
    return (0.0, *check_fractions(fractions), 1.0)


def top_count(n_content: int, fraction: float) -> int:
    """Tokens in the top `fraction` of `n_content`: rounded up, so that any fraction above 0 takes at least one."""
    return min(n_content, ceil(fraction * n_content - _ROUNDING))


def ranks(attribution: FloatArray) -> IntArray:
    """Rank of each content token by signed attribution, 0 = most supporting; ties go to the earlier position."""
    order = np.argsort(-attribution, kind="stable")
    result = np.empty(len(order), dtype=np.int64)
    result[order] = np.arange(len(order))
    return result


def top_masks(attribution: FloatArray, points: Sequence[float]) -> BoolArray:
    """Masks `points content` that mark the top share of the content tokens, for each point in 0…1."""
    counts = np.array([top_count(len(attribution), point) for point in points])
    return ranks(attribution)[None, :] < counts[:, None]


def answers_of(logits: FloatArray, problem_type: str) -> FloatArray:
    """What a model answers by its logits, `… classes`: probabilities, softmax or of several labels the sigmoid of each.

    A regression answers with its logit, in its own unit. `problem_type`: as transformers calls it.
    """
    if problem_type == "regression":
        return np.asarray(logits)
    if problem_type == "multi_label_classification":
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))  # the sigmoid, without overflow
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=-1, keepdims=True))

"""Scores perturbed inputs in length-sorted batches, whatever runs the model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calig.metrics.perturbation import FloatArray, PerturbedDocument, PerturbedInput, answers_of
from components.common.errors import CouldNotRunError
from components.scoring.batches import Arrays, Collator, batches
from schemas.release import ProblemType

#: Runs one batch: the model's inputs → logits `batch classes`.
Run = Callable[[Arrays], NDArray[Any]]


def pieces_of(item: PerturbedInput) -> list[Callable[[], PerturbedInput]]:
    """What goes through the model for one input, made when called: the input itself, or each window of a text in windows."""
    if isinstance(item, PerturbedDocument):
        return [partial(item.window, number) for number in range(item.n_windows)]
    return [lambda: item]


def _means(of_pieces: FloatArray, sizes: Sequence[int]) -> FloatArray:
    """Mean over the pieces of each input, which follow one another: `pieces classes` → `inputs classes`."""
    if not sizes:
        return of_pieces
    starts = np.cumsum([0, *sizes[:-1]])
    return np.asarray(np.add.reduceat(of_pieces, starts, axis=0) / np.array(sizes)[:, None])


class TokenScorer:
    """A classifier as the quality step sees it: perturbed inputs in, probabilities out. A `calig.metrics` Scorer."""

    def __init__(
        self,
        run: Run,
        collator: Collator,
        *,
        n_classes: int,
        problem_type: ProblemType = "single_label_classification",
        batch_tokens: int = 4096,
    ) -> None:
        self._run, self._collator = run, collator
        self._n_classes, self._batch_tokens = n_classes, batch_tokens
        self.problem_type = problem_type

    def __call__(self, inputs: Sequence[PerturbedInput]) -> FloatArray:
        """Class probabilities `inputs classes`, in the order of `inputs`; of a regression its outputs, see `answers_of`."""
        return answers_of(self.logits(inputs), self.problem_type)

    def length(self, item: PerturbedInput) -> int:
        """Tokens or patches of `item`, as the model counts them."""
        return self._collator.length(item)

    def logits(self, inputs: Sequence[PerturbedInput]) -> FloatArray:
        """Logits `inputs classes` in the order of `inputs`; of a text in windows the mean of its windows' logits.

        Raises:
            CouldNotRunError: the runtime fails, or gives logits of another shape, NaN or infinite ones.
        """
        by_input = [pieces_of(item) for item in inputs]
        pieces = [piece for some in by_input for piece in some]
        return _means(self._scored(pieces), [len(some) for some in by_input])

    def once(self) -> TokenScorer:
        """The same scorer, but what it is given again it does not score again."""
        given = {"n_classes": self._n_classes, "problem_type": self.problem_type, "batch_tokens": self._batch_tokens}
        return _OnceScorer(self._run, self._collator, **given)

    def _scored(self, pieces: Sequence[Callable[[], PerturbedInput]]) -> FloatArray:
        """Logits `pieces classes`."""
        logits = np.empty((len(pieces), self._n_classes))
        lengths = [self.length(piece()) for piece in pieces]
        for batch in batches(lengths, batch_tokens=self._batch_tokens):
            found = self._one(self._collator.arrays([pieces[index]() for index in batch]))
            logits[batch] = self._checked(found, len(batch))
        return logits

    def _checked(self, logits: NDArray[Any], n_inputs: int) -> NDArray[Any]:
        """`logits` as they are; numpy would stretch a wrong shape silently, and a NaN would become somebody's figure."""
        if logits.shape != (n_inputs, self._n_classes):
            allowed = f"{n_inputs} inputs × {self._n_classes} classes"
            raise CouldNotRunError("the model gave logits of a wrong shape", got=logits.shape, allowed=allowed)
        broken = int((~np.isfinite(logits)).any(axis=1).sum())
        if broken:
            raise CouldNotRunError("the model gave logits that are NaN or infinite", got=f"{broken} of {n_inputs} inputs")
        return logits

    def _one(self, arrays: Arrays) -> NDArray[Any]:
        try:
            return self._run(arrays)
        except Exception as error:  # runtimes raise what they like: this is the seam
            shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
            raise CouldNotRunError("scoring perturbed inputs failed", got=f"{error} ({shapes})") from error


#: Inputs whose logits are remembered: some hundred rows' worth, a few megabytes.
_REMEMBERED = 20_000


class _OnceScorer(TokenScorer):
    """Remembers logits.

    The same input goes to the model for curves and for infidelity (the whole row), for two rows of one length (without their
    content), and for a long text whose removed tokens do not lie in every window.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._known: OrderedDict[Hashable, FloatArray] = OrderedDict()

    def _scored(self, pieces: Sequence[Callable[[], PerturbedInput]]) -> FloatArray:
        identities = [self._collator.identity(piece()) for piece in pieces]
        unknown = {identity: piece for identity, piece in zip(identities, pieces, strict=True) if identity not in self._known}
        new = dict(zip(unknown, super()._scored(list(unknown.values())), strict=True))
        logits = [new[identity] if identity in new else self._known[identity] for identity in identities]
        self._remember(dict(zip(identities, logits, strict=True)))
        return np.array(logits).reshape(-1, self._n_classes)

    def _remember(self, latest: dict[Hashable, FloatArray]) -> None:
        """Keep these, the latest of all, and forget the oldest beyond the limit."""
        for identity, logits in latest.items():
            self._known[identity] = logits
            self._known.move_to_end(identity)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

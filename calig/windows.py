"""Texts longer than the model: overlapping windows, attributed one by one and merged by their place in the text.

A document's logits are the mean of its windows' logits: the largest is its prediction. Its f is the mean of its windows' f, which
is f of those logits wherever f is linear (all but log-odds of more than two classes). So a token's attribution in it is the mean
over windows of its attribution in each (nothing, where a window does not hold it), and completeness holds for the document as it
holds for every window. Of a pair of texts the longer one is in windows, and the other one whole in each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from calig.attribution import Attribution
from calig.baselines import Baseline
from calig.blocks import BlockStack
from calig.engine import NOT_FINITE, Options, Refusals, attribute, own_logits, words_of
from calig.errors import InvalidInputError
from calig.inputs import EncodedInput, encode_whole, room_for, shifted
from calig.metrics.perturbation import window_positions
from calig.pairs import BOTH, Pair, encode_pair, positions_of
from calig.targets import Target, choose_targets, class_names, objective_for

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Document:
    """A row in windows. whole: its tokens, beyond the model's limit; spans: positions in it, start and end (exclusive), of the
    stretch that each window holds of the text that is cut; None: the model reads the row in one piece, its own only window.

    cut: where that text begins and ends. What lies outside, special tokens and the other text of a pair, is in every window.
    """

    whole: EncodedInput
    windows: list[EncodedInput]
    spans: list[tuple[int, int]] | None = None
    cut: tuple[int, int] = (0, 0)

    @classmethod
    def in_one_piece(cls, row: EncodedInput) -> Document:
        """A row that fits into the model, or was cut so that it does."""
        return cls(row, [row])

    @classmethod
    def in_windows(cls, row: EncodedInput, spans: list[tuple[int, int]]) -> Document:
        """A row in the windows that `spans`, two or more, name; they cover the text that is cut."""
        cut = (spans[0][0], spans[-1][1])
        return cls(row, [row.at(window_positions(row.length, cut, span).tolist()) for span in spans], spans, cut)

    @property
    def n_positions(self) -> int:
        """Positions that the model reads, in all windows together."""
        return sum(window.length for window in self.windows)

    def shifted(self, shift: torch.Tensor) -> Document:
        """The row moved by `shift`, of shape `calig.inputs.shift_shape` of the whole; a token moves alike in all its windows."""
        moved = shifted(self.whole, shift)
        return Document.in_one_piece(moved) if self.spans is None else Document.in_windows(moved, self.spans)


def split(text: str, tokenizer: Any, *, limit: int | None, overlap: float, vocabulary: int | None = None) -> Document:
    """One text in windows of at most `limit` tokens; one window when it fits.

    The sequence of tokens is cut, not the text: what tokenizers return as overflowing tokens is not relied on.

    Args:
        overlap: share of a window's stretch that the next one repeats, in [0, 1).
        limit, vocabulary: as for `calig.inputs.encode_text`, whose errors are raised.
    """
    whole = encode_whole(text, tokenizer, vocabulary)
    if limit is None or whole.length <= limit:
        return Document.in_one_piece(whole)
    return Document.in_windows(whole, _stretches(whole.body, room_for(whole, limit), overlap))


def split_pair(
    pair: Pair,
    tokenizer: Any,
    *,
    limit: int | None,
    overlap: float,
    vocabulary: int | None = None,
    token_types: int = 0,
    explain: str = BOTH,
) -> Document:
    """A pair of texts in windows of the longer one, each beside the whole other one; one window when both fit.

    Which text is explained makes no difference to the windows. Arguments as for `split` and `calig.pairs.encode_pair`.

    Raises:
        InvalidInputError: as for `encode_pair`; or the shorter text takes more than half of the room: beside it, windows would be
            small and many, and neither text would be read whole.
    """
    whole = encode_pair(pair, tokenizer, limit=None, vocabulary=vocabulary, token_types=token_types, explain=explain)
    if limit is None or whole.length <= limit:
        return Document.in_one_piece(whole)
    first, second = (range(min(of), max(of) + 1) for of in (positions_of(whole, side) for side in (0, 1)))
    long, short = (first, second) if len(first) > len(second) else (second, first)
    room = limit - (whole.length - len(long) - len(short))
    if 2 * len(short) > room:
        raise InvalidInputError(
            "both texts of the pair are too long for windows: the shorter one has to stay whole beside each window of the other"
            f"\ngot: {len(first)} and {len(second)} tokens\nallowed: {max(room // 2, 0)} for the shorter one"
            "\nnext: long_texts='truncate', or shorter texts"
        )
    return Document.in_windows(whole, _stretches(long, room - len(short), overlap))


def _stretches(positions: range, room: int, overlap: float) -> list[tuple[int, int]]:
    """Start and end of stretches of at most `room` positions; all but the first repeat a share of the one before."""
    step = room - int(overlap * room)
    begins = range(positions.start, max(positions.start + 1, positions.stop - room + step), step)
    return [(begin, min(begin + room, positions.stop)) for begin in begins]


def attribute_documents(
    stack: BlockStack,
    documents: Sequence[Document],
    labels: Sequence[str | None],
    baseline: Baseline,
    options: Options,
    progress: Callable[[int], None] | None = None,
    targets: Sequence[list[Target]] | None = None,
    problems: dict[int, str] | None = None,
) -> list[list[Attribution]]:
    """Attribute documents; arguments, result and errors as for `calig.engine.attribute`, with documents for rows.

    Batches are formed of the windows of all documents, so that the length of a document changes nothing in a forward pass.
    """
    if all(document.spans is None for document in documents):
        rows = [document.whole for document in documents]
        return attribute(stack, rows, labels, baseline, options, progress, targets, problems)
    logits = _combined_logits(stack, documents, options.batch_tokens)
    refusals = Refusals(stack.family.model_type, len(documents), problems)
    usable = _usable(documents, logits, refusals)
    if targets is None:
        objective = objective_for(stack.model, options.objective)
        targets = choose_targets(options.target, logits, class_names(stack.model), labels, objective)
    if progress is not None and len(usable) < len(documents):
        progress(len(documents) - len(usable))
    windows = [window for place in usable for window in documents[place].windows]
    owners = [place for place in usable for _ in documents[place].windows]
    refused: dict[int, str] = {}
    done = attribute(
        stack,
        windows,
        [None] * len(windows),
        baseline,
        options,
        None if progress is None else _in_documents(progress, len(windows), len(usable)),
        [targets[place] for place in owners],
        None if problems is None else refused,
    )
    for number, problem in refused.items():
        problems.setdefault(owners[number], problem)  # type: ignore[union-attr] # refused is filled only where problems are noted
    return _merged(documents, usable, done, problems or {}, class_names(stack.model))


def _combined_logits(stack: BlockStack, documents: Sequence[Document], batch_tokens: int) -> torch.Tensor:
    """The mean over windows of what the model says of each, `documents classes`; NaN for rows with a shift."""
    windows = [window for document in documents for window in document.windows]
    of_windows = own_logits(stack, windows, batch_tokens)
    return torch.stack([part.mean(0) for part in torch.split(of_windows, [len(document.windows) for document in documents])])


def _usable(documents: Sequence[Document], logits: torch.Tensor, refusals: Refusals) -> list[int]:
    """Places of the documents whose logits are numbers; the others are refused, each once, however many windows it has."""
    finite = logits.isfinite().all(-1).tolist()
    usable = [place for place, document in enumerate(documents) if finite[place] or document.whole.shift is not None]
    for place in sorted(set(range(len(documents))) - set(usable)):
        refusals.add(place, NOT_FINITE)
    return usable


def _in_documents(progress: Callable[[int], None], n_windows: int, n_documents: int) -> Callable[[int], None]:
    """Counts windows and tells `progress` of as many documents as that share of the work makes; in the end, of all."""
    reached = [0]

    def count(n: int) -> None:
        reached.append(reached[-1] + n)
        before, now = (done * n_documents // n_windows for done in reached[-2:])
        if now > before:
            progress(now - before)

    return count


def _merged(
    documents: Sequence[Document],
    usable: Sequence[int],
    done: Sequence[list[Attribution]],
    problems: Mapping[int, str],
    names: Sequence[str],
) -> list[list[Attribution]]:
    """Per document its attributions, from those of the windows of the `usable` ones; none for a document with a problem."""
    edges = pairwise(accumulate((len(documents[place].windows) for place in usable), initial=0))
    parts = {place: done[begin:end] for place, (begin, end) in zip(usable, edges, strict=True) if place not in problems}
    return [
        [merge(document, each, names) for each in zip(*parts[place], strict=True)] if place in parts else []
        for place, document in enumerate(documents)
    ]


def merge(document: Document, parts: Sequence[Attribution], names: Sequence[str]) -> Attribution:
    """One attribution of the whole text from those of its windows; `names`: the classes in logit order."""
    if len(parts) == 1:
        return parts[0]
    whole, spans = document.whole, document.spans or []
    places = [window_positions(whole.length, document.cut, span) for span in spans]

    def placed(name: str) -> Floats:
        """`… seq` of every window, put where it belongs in the text; the mean over windows."""
        arrays = [getattr(part, name) for part in parts]
        total = np.zeros((*arrays[0].shape[:-1], whole.length))
        for array, positions in zip(arrays, places, strict=True):
            total[..., positions] += array
        merged: Floats = total / len(parts)
        return merged

    values, logits = placed("values"), np.mean([part.logits for part in parts], axis=0)
    return replace(
        parts[0],
        tokens=whole.tokens,
        values=values,
        layers=placed("layers"),
        layer_attributions=placed("layer_attributions"),
        residuals=np.max([part.residuals for part in parts], axis=0),
        n_points=np.max([part.n_points for part in parts], axis=0).tolist(),
        converged=all(part.converged for part in parts),
        words=words_of(whole, values),
        predicted=names[int(logits.argmax())],
        logits=logits,
        f_input=float(np.mean([part.f_input for part in parts])),
        f_baseline=float(np.mean([part.f_baseline for part in parts])),
        input_ids=whole.input_ids,
        starts=whole.starts,
        ends=whole.ends,
        content=whole.content,
        coverage=_covered(whole, places),
        input_x_gradient=placed("input_x_gradient"),
        attention_rollout=placed("attention_rollout"),
        attention_gradient_rollout=placed("attention_gradient_rollout"),
        alternatives=placed("alternatives"),
        windows=spans,
        sides=whole.sides,
        token_types=whole.token_types,
    )


def _covered(whole: EncodedInput, places: Sequence[NDArray[np.int64]]) -> float:
    """Share of the content tokens that lie in a window, counted."""
    content = np.array(whole.content)
    return float(content[np.unique(np.concatenate(places))].sum() / content.sum())

"""Texts longer than the model: overlapping windows, attributed one by one and merged by their place in the text.

A document's f is the mean of its windows' f. So a token's attribution in it is the mean over windows of its attribution in each
(nothing, where a window does not hold it), and completeness holds for the document as it holds for every window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calig.attribution import Attribution
from calig.baselines import Baseline
from calig.batching import equal_lengths
from calig.blocks import BlockStack
from calig.engine import Options, attribute
from calig.inputs import EncodedInput, encode_text, encode_windows, joined
from calig.targets import choose_targets, class_names, objective_for
from calig.words import merge_words

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Document:
    """A text in windows. whole: the text's tokens, beyond the model's limit; first: where in its content each window begins."""

    whole: EncodedInput
    windows: list[EncodedInput]
    first: list[int]


def split(text: str, tokenizer: Any, *, limit: int | None, overlap: float) -> Document:
    """The windows of a text; one window when it fits.

    Args:
        limit: tokens per window, special ones included; None: the model has no limit.
        overlap: share of a window's content that the next one repeats, in [0, 1).
    """
    whole = encode_text(text, tokenizer, limit=None)
    if limit is None or whole.length <= limit:
        return Document(whole, [whole], [0])
    content = limit - (whole.length - sum(whole.content))
    repeated = int(overlap * content)
    windows = encode_windows(text, tokenizer, limit=limit, overlap=repeated)
    return Document(whole, windows, [i * (content - repeated) for i in range(len(windows))])


def attribute_documents(
    stack: BlockStack,
    documents: Sequence[Document],
    labels: Sequence[str | None],
    baseline: Baseline,
    options: Options,
    progress: Callable[[int], None] | None = None,
) -> list[list[Attribution]]:
    """Attribute documents; arguments and result as for `calig.engine.attribute`, with windows for rows."""
    windows = [window for document in documents for window in document.windows]
    sizes, names = [len(document.windows) for document in documents], class_names(stack.model)
    logits = torch.stack([part.mean(0) for part in torch.split(_logits(stack, windows, options), sizes)])
    by_document = choose_targets(options.target, logits, names, labels, objective_for(stack.model, options.objective))
    targets = [target for target, size in zip(by_document, sizes, strict=True) for _ in range(size)]
    done = iter(attribute(stack, windows, [None] * len(windows), baseline, options, progress, targets))
    parts = [[next(done) for _ in document.windows] for document in documents]
    return [[merge(d, each, names) for each in zip(*p, strict=True)] for d, p in zip(documents, parts, strict=True)]


def _logits(stack: BlockStack, windows: Sequence[EncodedInput], options: Options) -> Tensor:
    """`windows classes`."""
    logits = torch.empty(len(windows), len(class_names(stack.model)))
    with torch.no_grad():
        for group in equal_lengths([window.length for window in windows], options.batch_tokens):
            logits[group] = stack.model(**joined([windows[i].inputs for i in group], stack.model)).logits.float().cpu()
    return logits


def merge(document: Document, parts: Sequence[Attribution], names: Sequence[str]) -> Attribution:
    """One attribution of the whole text from those of its windows; `names`: the classes in logit order."""
    if len(parts) == 1:
        return parts[0]
    whole = document.whole

    def placed(name: str) -> Floats:
        """`… seq` of every window, put where it belongs in the text; the mean over windows."""
        arrays = [getattr(part, name) for part in parts]
        total = np.zeros((*arrays[0].shape[:-1], whole.length))
        for array, window, first in zip(arrays, document.windows, document.first, strict=True):
            total[..., _places(whole, window, first)] += array
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
        words=merge_words(whole.text or "", values, whole.starts, whole.ends),
        predicted=names[int(logits.argmax())],
        logits=logits,
        f_input=float(np.mean([part.f_input for part in parts])),
        f_baseline=float(np.mean([part.f_baseline for part in parts])),
        input_ids=whole.input_ids,
        starts=whole.starts,
        ends=whole.ends,
        content=whole.content,
        coverage=1.0,
        input_x_gradient=placed("input_x_gradient"),
        attention_rollout=placed("attention_rollout"),
        attention_gradient_rollout=placed("attention_gradient_rollout"),
        alternatives=placed("alternatives"),
    )


def _places(whole: EncodedInput, window: EncodedInput, first: int) -> NDArray[np.int64]:
    """Position in the whole text of every position of a window; special tokens keep their order before and after the content."""
    in_whole, in_window = np.array(whole.content), np.array(window.content)
    places = np.empty(window.length, dtype=np.int64)
    n = int(in_window.sum())
    places[in_window] = np.flatnonzero(in_whole)[first : first + n]
    places[~in_window] = np.flatnonzero(~in_whole)
    return places

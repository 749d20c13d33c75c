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

from calig.attribution import Attribution
from calig.baselines import Baseline
from calig.blocks import BlockStack
from calig.engine import Options, attribute, own_logits
from calig.inputs import EncodedInput, encode_windows
from calig.targets import choose_targets, class_names, objective_for
from calig.words import merge_words

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Document:
    """A text in windows. whole: the text's tokens, beyond the model's limit; first: where in its body each window begins."""

    whole: EncodedInput
    windows: list[EncodedInput]
    first: list[int]


def split(text: str, tokenizer: Any, *, limit: int | None, overlap: float, vocabulary: int | None = None) -> Document:
    """The windows of a text; one window when it fits. Arguments and errors as for `calig.inputs.encode_windows`."""
    return Document(*encode_windows(text, tokenizer, limit=limit, overlap=overlap, vocabulary=vocabulary))


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
    if not windows:
        return []
    of_windows = own_logits(stack, windows, options.batch_tokens)
    logits = torch.stack([part.mean(0) for part in torch.split(of_windows, sizes)])
    by_document = choose_targets(options.target, logits, names, labels, objective_for(stack.model, options.objective))
    targets = [target for target, size in zip(by_document, sizes, strict=True) for _ in range(size)]
    done = iter(attribute(stack, windows, [None] * len(windows), baseline, options, progress, targets))
    parts = [[next(done) for _ in document.windows] for document in documents]
    return [[merge(d, each, names) for each in zip(*p, strict=True)] for d, p in zip(documents, parts, strict=True)]


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
        coverage=_covered(document),
        input_x_gradient=placed("input_x_gradient"),
        attention_rollout=placed("attention_rollout"),
        attention_gradient_rollout=placed("attention_gradient_rollout"),
        alternatives=placed("alternatives"),
    )


def _covered(document: Document) -> float:
    """Share of the text's content tokens that lie in a window, counted."""
    content = np.array(document.whole.content)
    seen = np.zeros(document.whole.length, dtype=bool)
    for window, first in zip(document.windows, document.first, strict=True):
        seen[_places(document.whole, window, first)] = True
    return float((seen & content).sum() / content.sum())


def _places(whole: EncodedInput, window: EncodedInput, first: int) -> NDArray[np.int64]:
    """Position in the whole text of every position of a window: special tokens, its part of the body, special tokens."""
    body, own = whole.body, window.length - (whole.length - whole.n_body)
    begin = body.start + first
    return np.array([*range(body.start), *range(begin, begin + own), *range(body.stop, whole.length)], dtype=np.int64)

"""The library's front door: `explain` a handful of inputs with one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from calig.attribution import Attribution
from calig.baselines import choose_baseline
from calig.blocks import attributable
from calig.engine import Options, attribute
from calig.errors import InvalidInputError
from calig.families import family_of
from calig.inputs import EncodedInput, encode_image, encode_text, length_limit
from calig.rollout import CONTEXT_RULES


def explain(  # noqa: PLR0913 - the method has this many settings; all but three are keyword-only
    model: Any,
    tokenizer_or_processor: Any,
    inputs: Sequence[str | Image.Image] | str | Image.Image,
    *,
    target: str = "predicted",
    labels: Sequence[str | None] | None = None,
    fusion_coefficient: float = 0.1,
    context_rule: str = "positive",
    baseline: str = "auto",
    tolerance: float = 0.01,
    max_points: int = 129,
    n_points: int | None = None,
    reduced: bool = False,
    max_length: int | None = None,
    batch_tokens: int = 4096,
    progress: Callable[[int], None] | None = None,
) -> list[Attribution]:
    """Explain a classifier's decisions with CA-LIG (arXiv 2602.16608).

    >>> from calig import explain, load_model
    >>> model, tokenizer = load_model("my-classifier")  # doctest: +SKIP
    >>> for word in explain(model, tokenizer, ["not a good film"])[0].words:  # doctest: +SKIP
    ...     print(f"{word.text:12} {word.value:+.2f}")

    Args:
        model: a transformers text or image classifier; used on its own device and in its own precision, left unchanged.
        tokenizer_or_processor: its fast tokenizer, or its image processor.
        inputs: texts, or PIL images.
        target: class explained: "predicted", "gold" (needs `labels`), or a class name.
        labels: gold class name per input.
        fusion_coefficient: λ in [0, 1]: 0 is the mean of the layer integrated gradients, 1 attention context alone.
        context_rule: what of A ⊙ ∂f/∂A counts as context: "positive", "absolute" or "attention".
        baseline: what replaces the content: "auto", "mask", "pad", "mean" for texts; "auto", "zero", "blur" for images.
        tolerance: completeness residual allowed per layer, as a share of |f(x) − f(x')|.
        max_points: most path points per row and layer; a row that needs more has `converged` False.
        max_length: tokens per text; None: the model's own limit. Longer texts lose their end; see `coverage`.
        batch_tokens: tokens per forward pass; does not change values.
        progress: called with the number of rows just finished.

    Returns:
        One `Attribution` per input, in order. Values are logits: positive supports the target, negative opposes it.

    Raises:
        UnsupportedModelError: the architecture is unknown, generative or encoder-decoder.
        InvalidInputError: an input without content, an unknown class or option.
        VerificationError: the adapter does not reproduce this model's logits.
    """
    _check(fusion_coefficient, context_rule)
    given = [inputs] if isinstance(inputs, str | Image.Image) else list(inputs)
    options = Options(
        target=target,
        fusion_coefficient=fusion_coefficient,
        context_rule=context_rule,
        tolerance=tolerance,
        max_points=max_points,
        n_points=n_points,
        reduced=reduced,
        batch_tokens=batch_tokens,
    )
    with attributable(model) as stack:
        chosen = choose_baseline(baseline, model, tokenizer_or_processor, stack.family.modality)
        rows = [encode(item, model, tokenizer_or_processor, max_length=max_length) for item in given]
        return [each[0] for each in attribute(stack, rows, labels or [None] * len(rows), chosen, options, progress)]


def encode(item: str | Image.Image, model: Any, processor: Any, *, max_length: int | None = None) -> EncodedInput:
    """One text or image as the model's inputs; see `calig.inputs`."""
    if isinstance(item, str):
        return encode_text(item, processor, limit=length_limit(model, processor, max_length))
    if isinstance(item, Image.Image):
        return encode_image(item, processor, patch_size=model.config.patch_size, prefix=family_of(model).prefix)
    raise InvalidInputError(f"inputs are texts or PIL images\ngot: {type(item).__name__}")


def _check(fusion_coefficient: float, context_rule: str) -> None:
    if not 0.0 <= fusion_coefficient <= 1.0:
        raise InvalidInputError(f"fusion_coefficient is a share\ngot: {fusion_coefficient}\nallowed: 0 … 1")
    if context_rule not in CONTEXT_RULES:
        raise InvalidInputError(f"unknown context rule\ngot: {context_rule!r}\nallowed: {', '.join(CONTEXT_RULES)}")

"""The library's front door: `explain` a handful of inputs with one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from PIL import Image

from calig.attribution import Attribution
from calig.baselines import choose_baseline
from calig.batching import suitable_batch_tokens
from calig.blocks import attributable
from calig.engine import Options, attribute
from calig.errors import InvalidInputError
from calig.families import family_of, unwrapped
from calig.inputs import EncodedInput, encode_image, encode_text, length_limit
from calig.labels import read_labels
from calig.pairs import BOTH, EXPLAINED, SIDES, Pair, encode_pair
from calig.rollout import CONTEXT_RULES, FUSION_RULES, PRESETS, SIGNED, Fusion
from calig.targets import CENTRED, OBJECTIVES, class_names
from calig.windows import Document, attribute_documents, split, split_pair


def explain(  # noqa: PLR0913 - the method has this many settings; all but three are keyword-only
    model: Any,
    tokenizer_or_processor: Any,
    inputs: Sequence[str | Pair | Image.Image] | str | Image.Image,
    *,
    target: str = "predicted",
    objective: str = CENTRED,
    explain: str = BOTH,
    labels: Sequence[str | int | None] | None = None,
    fusion: str | None = None,
    fusion_rule: str = "change",
    fusion_coefficient: float = 0.2,
    context_rule: str = "mixed",
    baseline: str = "auto",
    tolerance: float = 0.01,
    max_points: int = 129,
    n_points: int | None = None,
    reduced: bool = False,
    max_length: int | None = None,
    long_texts: str = "truncate",
    window_overlap: float = 0.25,
    batch_tokens: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Attribution]:
    """Explain a classifier's decisions with CA-LIG (arXiv 2602.16608).

    >>> from calig import explain, load_model
    >>> model, tokenizer = load_model("my-classifier")  # doctest: +SKIP
    >>> for word in explain(model, tokenizer, ["not a good film"])[0].words:  # doctest: +SKIP
    ...     print(f"{word.text:12} {word.value:+.2f}")

    Args:
        model: a transformers text or image classifier, bare or inside PEFT, torch.compile or DataParallel; used on its own device
            and in its own precision, left unchanged. Other threads that explain the same model wait.
        tokenizer_or_processor: its fast tokenizer, or its image processor.
        inputs: texts, pairs of texts as tuples, or PIL images. One pair is a list with one tuple: `[("a text", "another")]`.
        target: what is explained: "predicted" (a regression model's one output), "gold" (needs `labels`), "margin" (the
            largest logit less the second largest), "each" (every class on its own, for multi-label models; the forward
            passes are shared), or a class name; "class:NAME" for a class that is called like one of these words.
        objective: what is explained of a class where a softmax decides: "centred", its logit less the mean of the others (for
            two classes the margin), "log_odds", log p/(1 − p), or "logit", its own logit alone, which also holds what is
            common to all classes and changes no answer. Multi-label and regression models always have their logit explained.
        explain: of pairs: "both" texts, or "text" or "text_pair" alone; the other one then stays in x' as it is in x.
        labels: gold class per input: names in all of them, or indices in all of them; see `calig.labels`.
        fusion: a name for the three settings that follow: "contrast", the default, this project's own; "paper", the reading
            closest to the publication (rollout, λ 0.5, positive); "exact", the layers' gradients carried to the input by the
            model itself, without attention, at the cost of one path more (exact, λ 1).
        fusion_rule: "rollout": context carries each layer's attribution down to the input; "change": the same, but only to where
            the input differs from the baseline; "gate": context weighs it where it is; "exact": no context, see `fusion`.
        fusion_coefficient: λ in [0, 1]: 0 is the mean of the layer integrated gradients, 1 context or "exact" alone.
        context_rule: what counts as context: the "positive" part of A ⊙ ∂f/∂A, its "absolute" size, "attention" A alone,
            "mixed", a quarter of the first and three quarters of the last, or, with "rollout", "signed", both signs of the first.
        baseline: what replaces the content: "auto", "mask", "pad", "mean" for texts; "auto", "zero", "blur" for images.
        tolerance: allowed per layer: completeness residual of the quadrature, as a share of |f(x) − f(x')|, and, as a share
            of Σ|s|, a fifth of what changes when every other path point is left out.
        max_points: most path points per row and layer; a row that needs more has `converged` False.
        n_points: the same number of Gauss-Legendre points everywhere, as in Captum, instead of choosing them by need.
        reduced: matrix products on bfloat16 operands; what does not converge that way is computed again in full.
        max_length: tokens per text; None: the model's own limit.
        long_texts: "truncate": longer texts lose their end, see `coverage`; "windows": they are explained in overlapping
            windows, and what is explained is the mean over the windows; of a pair the longer text is in windows, and the other
            one whole in each.
        window_overlap: share of a window that the next one repeats.
        batch_tokens: tokens per forward pass; None: what suits the device. Does not change values.
        progress: called with the number of inputs just finished.

    Returns:
        One `Attribution` per input, in order; with target "each" one per input and class. Values are logits or differences of
        logits: positive supports the target, negative opposes it. They sum to f(x) − f(x').

    Raises:
        UnsupportedModelError: the architecture is unknown, generative or encoder-decoder.
        InvalidInputError: an input without content or of another kind, an unknown class or option.
        VerificationError: the adapter does not reproduce this model's logits on some row.
    """
    model = unwrapped(model)
    given = [inputs] if isinstance(inputs, str | Image.Image) else list(inputs)
    fused = _fusion(fusion, Fusion(fusion_rule, fusion_coefficient, context_rule))
    _check(objective, fused, long_texts, window_overlap, n_points)
    _check_explain(explain)
    options = Options(
        target=target,
        objective=objective,
        fusion_rule=fused.rule,
        fusion_coefficient=fused.coefficient,
        context_rule=fused.context_rule,
        tolerance=tolerance,
        max_points=max_points,
        n_points=n_points,
        reduced=reduced,
        batch_tokens=batch_tokens or suitable_batch_tokens(model.device),
    )
    with attributable(model) as stack:
        chosen = choose_baseline(baseline, model, tokenizer_or_processor, stack.family.modality)
        gold = _gold(labels, len(given), class_names(model))
        if long_texts == "windows" and stack.family.modality == "text":
            how: dict[str, Any] = {"max_length": max_length, "overlap": window_overlap, "explain": explain}
            documents = [encode_document(text, model, tokenizer_or_processor, **how) for text in given]
            results = attribute_documents(stack, documents, gold, chosen, options, progress)
        else:
            rows = [encode(item, model, tokenizer_or_processor, max_length=max_length, explain=explain) for item in given]
            results = attribute(stack, rows, gold, chosen, options, progress)
    return [attribution for row in results for attribution in row]


def encode(
    item: str | Pair | Image.Image, model: Any, processor: Any, *, max_length: int | None = None, explain: str = BOTH
) -> EncodedInput:
    """One text, pair of texts or image as the model's inputs; see `calig.inputs` and, for `explain`, `calig.pairs`."""
    _require_modality(item, model)
    if isinstance(item, tuple):
        limit, types = length_limit(model.config, processor, max_length), getattr(model.config, "type_vocab_size", 0)
        return encode_pair(item, processor, limit=limit, vocabulary=_vocabulary(model), token_types=types, explain=explain)
    _require_both(explain)
    if isinstance(item, str):
        limit = length_limit(model.config, processor, max_length)
        return encode_text(item, processor, limit=limit, vocabulary=_vocabulary(model))
    return encode_image(item, processor, config=model.config, family=family_of(model))


def encode_document(
    text: str | Pair | Image.Image,
    model: Any,
    tokenizer: Any,
    *,
    max_length: int | None = None,
    overlap: float = 0.25,
    explain: str = BOTH,
) -> Document:
    """One text, or pair of texts, in windows of the model's length; see `calig.windows` and, for `explain`, `calig.pairs`."""
    _require_modality(text, model)
    limit, vocabulary = length_limit(model.config, tokenizer, max_length), _vocabulary(model)
    if isinstance(text, tuple):
        types = getattr(model.config, "type_vocab_size", 0)
        how: dict[str, Any] = {"vocabulary": vocabulary, "token_types": types, "explain": explain}
        return split_pair(text, tokenizer, limit=limit, overlap=overlap, **how)
    _require_both(explain)
    return split(cast("str", text), tokenizer, limit=limit, overlap=overlap, vocabulary=vocabulary)


def _require_both(explain: str) -> None:
    if explain != BOTH:
        raise InvalidInputError(f"one side can be explained of pairs alone\ngot: explain={explain!r}\nallowed: {BOTH}")


def _require_modality(item: Any, model: Any) -> None:
    is_text = family_of(model).modality == "text"
    if not (isinstance(item, str) or _is_pair(item) if is_text else isinstance(item, Image.Image)):
        allowed = "texts (str), and pairs of them as tuples" if is_text else "PIL images"
        raise InvalidInputError(f"this model takes other inputs\ngot: {type(item).__name__}\nallowed: {allowed}")


def _is_pair(item: Any) -> bool:
    return isinstance(item, tuple) and len(item) == len(SIDES) and all(isinstance(text, str) for text in item)


def _check_explain(explain: str) -> None:
    if explain not in EXPLAINED:
        raise InvalidInputError(f"unknown side of pairs\ngot: {explain!r}\nallowed: {', '.join(EXPLAINED)}")


def _vocabulary(model: Any) -> int:
    rows: int = model.get_input_embeddings().num_embeddings
    return rows


def _gold(labels: Sequence[str | int | None] | None, n_inputs: int, names: Sequence[str]) -> Sequence[str | None]:
    if labels is None:
        return [None] * n_inputs
    if isinstance(labels, str) or len(labels) != n_inputs:
        got = "one text" if isinstance(labels, str) else f"{len(labels)} labels for {n_inputs} inputs"
        raise InvalidInputError(f"labels are a list with one entry per input\ngot: {got}")
    return read_labels(labels, names)


def _fusion(name: str | None, settings: Fusion) -> Fusion:
    """The fusion called `name`, or the one of the `settings`; both only where they agree."""
    if name is None:
        return settings
    if name not in PRESETS:
        raise InvalidInputError(f"unknown fusion\ngot: {name!r}\nallowed: {', '.join(PRESETS)}")
    if settings not in (PRESETS["contrast"], PRESETS[name]):
        raise InvalidInputError(
            f"fusion={name!r} stands for settings that are given too\ngot: {settings}\nallowed: one or the others"
        )
    return PRESETS[name]


def _check(objective: str, fusion: Fusion, long_texts: str, window_overlap: float, n_points: int | None) -> None:
    if objective not in OBJECTIVES:
        raise InvalidInputError(f"unknown objective\ngot: {objective!r}\nallowed: {', '.join(OBJECTIVES)}")
    _check_fusion(fusion)
    if long_texts not in ("truncate", "windows"):
        raise InvalidInputError(f"unknown treatment of long texts\ngot: {long_texts!r}\nallowed: truncate, windows")
    if not 0.0 <= window_overlap <= 0.9:
        raise InvalidInputError(f"window_overlap is a share\ngot: {window_overlap}\nallowed: 0 … 0.9")
    if n_points is not None and n_points < 1:
        raise InvalidInputError(f"n_points is a number of path points\ngot: {n_points}\nallowed: 1 or more")


def _check_fusion(fusion: Fusion) -> None:
    if not 0.0 <= fusion.coefficient <= 1.0:
        raise InvalidInputError(f"fusion_coefficient is a share\ngot: {fusion.coefficient}\nallowed: 0 … 1")
    if fusion.rule not in FUSION_RULES:
        raise InvalidInputError(f"unknown fusion rule\ngot: {fusion.rule!r}\nallowed: {', '.join(FUSION_RULES)}")
    if fusion.context_rule not in CONTEXT_RULES:
        raise InvalidInputError(f"unknown context rule\ngot: {fusion.context_rule!r}\nallowed: {', '.join(CONTEXT_RULES)}")
    if fusion.context_rule == SIGNED and fusion.rule != "rollout":
        raise InvalidInputError(f"a signed context keeps sums only in a rollout\ngot: {fusion.rule!r}\nallowed: rollout")

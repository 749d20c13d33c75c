"""One row per model family: where its blocks are and what turns the last block's output into logits. Data, not branches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from calig.adapters import merged_copy
from calig.errors import InvalidInputError, UnsupportedModelError


@dataclass(frozen=True)
class OwnAttention:
    """Where a block computes attention without transformers' registry.

    module: path in the block of the module that does; it has `num_attention_heads`. weights_to: path in that module of the
    one that is given A and nothing else, usually its dropout.
    """

    module: str
    weights_to: str


@dataclass(frozen=True)
class Family:
    """How to take a model of one `model_type` apart.

    blocks: the modules that are its blocks (one module may serve several times). head: (model, output of the last block
    `batch seq hidden`, rows unpadded) → logits `batch classes`. prefix: what an image model puts before the patches.
    reads_last: the head reads the last position that does not hold the padding token, which may be a content token; it is given
    the hidden states of that position alone. numbers_after: configuration → the token that positions skip and after whose id
    they are numbered; None: positions count every token from zero. any_size: an image model takes other sizes than its
    configuration says. attention: where blocks compute attention, when not by transformers' registry. shared: names of a
    block's arguments that belong to no row of the batch, whatever their shapes. join: a module that the model calls right after
    its first block as module(block's input, block's output, …), whose output the next block gets; None: none. Anything else
    the engine needs it finds by watching one forward pass.
    """

    model_type: str
    modality: Literal["text", "image"]
    blocks: Callable[[Any], Sequence[nn.Module]]
    head: Callable[[Any, Tensor], Tensor]
    prefix: tuple[str, ...] = ()
    reads_last: bool = False
    numbers_after: Callable[[Any], int | None] | None = None
    any_size: bool = False
    attention: OwnAttention | None = None
    shared: frozenset[str] = frozenset()
    join: Callable[[Any], nn.Module | None] = lambda _: None


def _encoder(attribute: str) -> Callable[[Any], Sequence[nn.Module]]:
    return lambda m: list(getattr(m, attribute).encoder.layer)


def _decoder(model_type: str) -> Family:
    """A decoder with the generic classification head: the last position's hidden state, scored."""
    return Family(
        model_type, "text", lambda m: list(m.model.layers), lambda m, h: m.score(m.model.norm(h[:, -1])), reads_last=True
    )


def _deberta(model_type: str) -> Family:
    """Its attention adds content-to-position terms to the scores; the larger ones of version 2 have a convolution as well."""
    return Family(
        model_type,
        "text",
        _encoder("deberta"),
        lambda m, h: m.classifier(m.pooler(h)),
        attention=OwnAttention("attention.self", "dropout"),
        shared=frozenset({"relative_pos", "rel_embeddings"}),
        join=lambda m: getattr(m.deberta.encoder, "conv", None),
    )


def _modern_bert_head(m: Any, h: Tensor) -> Tensor:
    normed = m.model.final_norm(h)
    pooled = normed[:, 0] if m.config.classifier_pooling == "cls" else normed.mean(1)
    logits: Tensor = m.classifier(m.head(pooled))
    return logits


def _euro_bert_head(m: Any, h: Tensor) -> Tensor:
    normed, pooling = m.model.norm(h), m.classifier_pooling
    pooled = normed[:, 0] if pooling == "bos" else normed.mean(1) if pooling == "mean" else normed
    logits: Tensor = m.classifier(m.activation(m.dense(pooled)))
    return logits.mean(1) if pooling == "late" else logits


def _dinov2_head(m: Any, h: Tensor) -> Tensor:
    """Reads the class token beside the mean of the patches."""
    normed = m.dinov2.layernorm(h)
    logits: Tensor = m.classifier(torch.cat([normed[:, 0], normed[:, 1:].mean(1)], dim=1))
    return logits


#: MPNet's embeddings number positions after this token, whatever config.json calls padding.
_MPNET_PADDING = 1

_DECODERS = ("llama", "qwen2", "qwen3", "mistral", "gemma", "gemma2", "gemma3_text", "phi3")

FAMILIES: dict[str, Family] = {
    row.model_type: row
    for row in (
        Family("bert", "text", _encoder("bert"), lambda m, h: m.classifier(m.bert.pooler(h))),
        *(
            Family(model_type, "text", _encoder("roberta"), lambda m, h: m.classifier(h), numbers_after=lambda c: c.pad_token_id)
            for model_type in ("roberta", "xlm-roberta", "camembert")
        ),
        Family(
            "mpnet",
            "text",
            _encoder("mpnet"),
            lambda m, h: m.classifier(h),
            numbers_after=lambda _: _MPNET_PADDING,
            attention=OwnAttention("attention.attn", "dropout"),
        ),
        Family("electra", "text", _encoder("electra"), lambda m, h: m.classifier(h)),
        Family(
            "distilbert",
            "text",
            lambda m: list(m.distilbert.transformer.layer),
            lambda m, h: m.classifier(m.pre_classifier(h[:, 0]).relu()),
        ),
        Family(
            "albert",
            "text",
            lambda m: [layer for group in m.albert.encoder.albert_layer_groups for layer in group.albert_layers],
            lambda m, h: m.classifier(m.albert.pooler_activation(m.albert.pooler(h[:, 0]))),
        ),
        _deberta("deberta"),
        _deberta("deberta-v2"),
        Family("modernbert", "text", lambda m: list(m.model.layers), _modern_bert_head),
        Family("eurobert", "text", lambda m: list(m.model.layers), _euro_bert_head),
        Family("nomic_bert", "text", lambda m: list(m.nomic_bert.layers), lambda m, h: m.classifier(m.nomic_bert.pooler(h))),
        Family(
            "gpt2",
            "text",
            lambda m: list(m.transformer.h),
            lambda m, h: m.score(m.transformer.ln_f(h[:, -1])),
            reads_last=True,
        ),
        *(_decoder(model_type) for model_type in _DECODERS),
        Family("vit", "image", lambda m: list(m.vit.layers), lambda m, h: m.classifier(m.vit.layernorm(h)[:, 0]), ("[CLS]",)),
        Family(
            "deit",
            "image",
            lambda m: list(m.deit.layers),
            lambda m, h: m.classifier(m.deit.layernorm(h)[:, 0]),
            ("[CLS]", "[DIST]"),
        ),
        Family(
            "beit",
            "image",
            lambda m: list(m.beit.layers),
            lambda m, h: m.classifier(m.beit.pooler(m.beit.layernorm(h))),
            ("[CLS]",),
            shared=frozenset({"attention_mask"}),
        ),
        Family("dinov2", "image", lambda m: list(m.dinov2.encoder.layer), _dinov2_head, ("[CLS]",), any_size=True),
        Family(
            "siglip",
            "image",
            lambda m: list(m.vision_model.encoder.layers),
            lambda m, h: m.classifier(m.vision_model.post_layernorm(h).mean(1)),
        ),
        Family(
            "clip",
            "image",
            lambda m: list(m.vision_model.encoder.layers),
            lambda m, h: m.classifier(h[:, 1:].mean(1)),
            ("[CLS]",),
        ),
    )
}

#: Wrappers by the names of their classes, and where they keep what they wrap.
_WRAPPERS = {"DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}

_WINDOWS = "its blocks shift, window and merge patches, so that no position keeps its place from layer to layer"
_SPARSE = "its attention is sparse: A is never formed, and which entries it has depends on the length of the text"
_CONVOLUTIONS = (
    "it is a convolutional network, without the blocks and attention of a Transformer that this method follows; "
    "for such models use plain Integrated Gradients or Grad-CAM, as Captum has them"
)

#: Known types that cannot be attributed, and why.
REFUSED = {
    "big_bird": f"{_SPARSE}; train or convert it with attention of type original_full into a supported family, such as RoBERTa",
    "longformer": f"{_SPARSE}; use a supported family for long texts, such as ModernBERT, or overlapping windows",
    "gemma3": "it reads pictures beside text; save its text model as a classifier of type gemma3_text",
    "swin": _WINDOWS,
    "swinv2": _WINDOWS,
    **dict.fromkeys(
        ("resnet", "convnext", "convnextv2", "regnet", "efficientnet", "mobilenet_v1", "mobilenet_v2", "bit"), _CONVOLUTIONS
    ),
}


def unwrapped(model: Any) -> Any:
    """The classifier inside wrappers for training: DataParallel, torch.compile, PEFT, whose adapters are merged on a copy.

    Raises:
        UnsupportedModelError: prompt tuning, whose prompt is no part of the input; adapters that cannot be merged.
        InvalidInputError: adapters that are switched off, or quantised weights.
    """
    _refuse_quantised(model)
    while True:
        if hasattr(model, "peft_config") and hasattr(model, "get_base_model"):
            if any(getattr(adapter, "is_prompt_learning", False) for adapter in model.peft_config.values()):
                raise UnsupportedModelError(
                    "prompt tuning cannot be attributed: the learned prompt decides beside the input"
                    f"\ngot: {type(model).__name__}\nallowed: adapters that change weights, such as LoRA"
                )
            model = merged_copy(model) if type(model).__module__.startswith("peft") else model.get_base_model()
        elif type(model).__name__ in _WRAPPERS:
            model = getattr(model, _WRAPPERS[type(model).__name__])
        else:
            return model


def _refuse_quantised(model: Any) -> None:
    """Weights of 4 or 8 bits stand for ranges of numbers: no gradient says what another number would do."""
    settings = getattr(getattr(model, "config", None), "quantization_config", None)
    packed = next((name for name, weight in model.named_parameters() if not weight.is_floating_point()), None)
    if settings or packed:
        got = packed or getattr(settings, "quant_method", None) or settings
        raise InvalidInputError(
            f"the model is quantised: gradients do not pass through its weights, so it cannot be attributed"
            f"\ngot: {str(got)[:100]}\nallowed: weights in float32, float64, float16 or bfloat16"
            "\nnext: explain the model before quantisation, or model.dequantize()"
        )


def family_of(model: Any) -> Family:
    """The row of `model`.

    Raises:
        UnsupportedModelError: an unknown, refused, generative or encoder-decoder model; lists the known types.
    """
    family = family_named(model.config)
    if not type(model).__name__.endswith(("ForSequenceClassification", "ForImageClassification")):
        raise _unsupported("only sequence and image classifiers can be attributed", type(model).__name__)
    return family


def family_named(config: Any) -> Family:
    """The row for a model's configuration; errors as for `family_of`."""
    # A classifier built on another model's weights keeps that model's type on its configuration, but not on its class.
    model_type = getattr(type(config), "model_type", "") or config.model_type
    if getattr(config, "is_encoder_decoder", False):
        raise _unsupported("encoder-decoder models cannot be attributed yet", model_type)
    if model_type in REFUSED:
        raise _unsupported(f"this model type cannot be attributed: {REFUSED[model_type]}", model_type)
    if model_type not in FAMILIES:
        raise _unsupported("unknown model type", model_type)
    patch = getattr(picture_config(config), "patch_size", 1)
    if FAMILIES[model_type].modality == "image" and not isinstance(patch, int):
        raise _unsupported("image models whose patches are no squares cannot be attributed yet", f"patch_size {patch}")
    return FAMILIES[model_type]


def picture_config(config: Any) -> Any:
    """The part of an image model's configuration that says how pictures are cut: CLIP and SigLIP keep it apart."""
    return getattr(config, "vision_config", config)


def body(model: Any) -> Any:
    """The transformers model that holds the blocks and their configuration: CLIP and SigLIP classifiers keep it apart."""
    return getattr(model, "vision_model", model)


def _unsupported(problem: str, got: str) -> UnsupportedModelError:
    allowed = f"classifiers of {', '.join(sorted(FAMILIES))}"
    return UnsupportedModelError(
        f"{problem}\ngot: {got}\nallowed: {allowed}\nnext: a new family is one row in calig/families.py and a test"
    )

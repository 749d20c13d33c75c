"""A seeded tiny model of every family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers as tf

from tests.helpers.tiny_models import bert_vocabulary

SIZE = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
TEXT = {**SIZE, "vocab_size": len(bert_vocabulary()), "max_position_embeddings": 64, "pad_token_id": 0, "num_labels": 2}
DECODER = {**TEXT, "num_key_value_heads": 2, "head_dim": 8}
RELATIVE = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False, "type_vocab_size": 0}
IMAGE = {**SIZE, "image_size": 16, "patch_size": 4, "num_labels": 2}
#: A larger picture than the configuration's: its table of positions is interpolated, as in the published models.
DINO = {**{name: value for name, value in IMAGE.items() if name != "intermediate_size"}, "image_size": 24, "mlp_ratio": 2}
PICTURE = {name: value for name, value in IMAGE.items() if name != "num_labels"}
CAPTION = {**SIZE, "num_hidden_layers": 1, "vocab_size": 16, "bos_token_id": 0, "eos_token_id": 1}
DECODER_ROW = {name: value for name, value in DECODER.items() if name != "head_dim"}


@dataclass(frozen=True)
class Case:
    """A tiny model, and the modules whose outputs are the inputs of its blocks (None where Captum cannot name them)."""

    build: Callable[[], Any]
    nodes: Callable[[Any], list[Any]] | None
    token_types: bool = False


def encoder(name: str) -> Callable[[Any], list[Any]]:
    return lambda m: [getattr(m, name).embeddings, *getattr(m, name).encoder.layer[:-1]]


def own_outputs(name: str) -> Callable[[Any], list[Any]]:
    """For blocks that return None beside their hidden states, which Captum cannot take: the last module of each."""
    return lambda m: [getattr(m, name).embeddings, *(block.output for block in getattr(m, name).encoder.layer[:-1])]


def decoder(m: Any) -> list[Any]:
    return [m.model.embed_tokens, *m.model.layers[:-1]]


CASES = {
    "bert": Case(lambda: tf.BertForSequenceClassification(tf.BertConfig(**TEXT)), encoder("bert"), token_types=True),
    "roberta": Case(lambda: tf.RobertaForSequenceClassification(tf.RobertaConfig(**TEXT)), encoder("roberta")),
    "xlm-roberta": Case(lambda: tf.XLMRobertaForSequenceClassification(tf.XLMRobertaConfig(**TEXT)), encoder("roberta")),
    "camembert": Case(lambda: tf.CamembertForSequenceClassification(tf.CamembertConfig(**TEXT)), encoder("roberta")),
    "mpnet": Case(lambda: tf.MPNetForSequenceClassification(tf.MPNetConfig(**TEXT)), encoder("mpnet")),
    "electra": Case(lambda: tf.ElectraForSequenceClassification(tf.ElectraConfig(**TEXT, embedding_size=32)), encoder("electra")),
    "distilbert": Case(
        lambda: tf.DistilBertForSequenceClassification(
            tf.DistilBertConfig(vocab_size=len(bert_vocabulary()), dim=32, n_layers=3, n_heads=4, hidden_dim=48)
        ),
        lambda m: [m.distilbert.embeddings, *m.distilbert.transformer.layer[:-1]],
    ),
    "albert": Case(
        lambda: tf.AlbertForSequenceClassification(tf.AlbertConfig(**TEXT, embedding_size=16, inner_group_num=1)), None
    ),
    "deberta": Case(
        lambda: tf.DebertaForSequenceClassification(tf.DebertaConfig(**TEXT, **RELATIVE, max_relative_positions=6)),
        own_outputs("deberta"),
    ),
    "deberta-v2": Case(
        lambda: tf.DebertaV2ForSequenceClassification(
            tf.DebertaV2Config(**TEXT, **RELATIVE, position_buckets=4, share_att_key=True, norm_rel_ebd="layer_norm")
        ),
        own_outputs("deberta"),
    ),
    "modernbert": Case(
        lambda: tf.ModernBertForSequenceClassification(
            tf.ModernBertConfig(**TEXT, cls_token_id=2, sep_token_id=3, classifier_pooling="mean")
        ),
        lambda m: [m.model.embeddings, *m.model.layers[:-1]],
    ),
    "eurobert": Case(
        lambda: tf.EuroBertForSequenceClassification(
            tf.EuroBertConfig(**DECODER, classifier_pooling="late", mask_token_id=4, bos_token_id=2, eos_token_id=3)
        ),
        decoder,
    ),
    "nomic_bert": Case(
        lambda: tf.NomicBertForSequenceClassification(tf.NomicBertConfig(**TEXT, head_dim=8)),
        lambda m: [m.nomic_bert.embeddings, *m.nomic_bert.layers[:-1]],
        token_types=True,
    ),
    "gpt2": Case(
        lambda: tf.GPT2ForSequenceClassification(
            tf.GPT2Config(vocab_size=len(bert_vocabulary()), n_embd=32, n_layer=3, n_head=4, n_positions=64, pad_token_id=0)
        ),
        lambda m: [m.transformer.drop, *m.transformer.h[:-1]],
    ),
    "llama": Case(lambda: tf.LlamaForSequenceClassification(tf.LlamaConfig(**DECODER)), decoder),
    "qwen2": Case(lambda: tf.Qwen2ForSequenceClassification(tf.Qwen2Config(**DECODER)), decoder),
    "qwen3": Case(lambda: tf.Qwen3ForSequenceClassification(tf.Qwen3Config(**DECODER)), decoder),
    "mistral": Case(lambda: tf.MistralForSequenceClassification(tf.MistralConfig(**DECODER, sliding_window=4)), decoder),
    "gemma": Case(lambda: tf.GemmaForSequenceClassification(tf.GemmaConfig(**DECODER)), decoder),
    "gemma2": Case(
        lambda: tf.Gemma2ForSequenceClassification(
            tf.Gemma2Config(**DECODER, sliding_window=4, attn_logit_softcapping=0.5, query_pre_attn_scalar=4)
        ),
        decoder,
    ),
    "gemma3_text": Case(
        lambda: tf.Gemma3TextForSequenceClassification(tf.Gemma3TextConfig(**DECODER, sliding_window=4, query_pre_attn_scalar=4)),
        decoder,
    ),
    "phi3": Case(
        lambda: tf.Phi3ForSequenceClassification(tf.Phi3Config(**DECODER_ROW, sliding_window=4, bos_token_id=2, eos_token_id=3)),
        decoder,
    ),
    "vit": Case(lambda: tf.ViTForImageClassification(tf.ViTConfig(**IMAGE)), lambda m: [m.vit.embeddings, *m.vit.layers[:-1]]),
    "deit": Case(
        lambda: tf.DeiTForImageClassification(tf.DeiTConfig(**IMAGE)), lambda m: [m.deit.embeddings, *m.deit.layers[:-1]]
    ),
    "beit": Case(
        lambda: tf.BeitForImageClassification(
            tf.BeitConfig(**IMAGE, use_relative_position_bias=True, layer_scale_init_value=1.0)
        ),
        lambda m: [m.beit.embeddings, *m.beit.layers[:-1]],
    ),
    "dinov2": Case(
        lambda: tf.Dinov2ForImageClassification(tf.Dinov2Config(**DINO)),
        lambda m: [m.dinov2.embeddings, *m.dinov2.encoder.layer[:-1]],
    ),
    "siglip": Case(
        lambda: tf.SiglipForImageClassification(tf.SiglipConfig(vision_config=PICTURE, text_config=CAPTION, num_labels=2)),
        lambda m: [m.vision_model.embeddings, *m.vision_model.encoder.layers[:-1]],
    ),
    "clip": Case(
        lambda: tf.CLIPForImageClassification(tf.CLIPConfig(vision_config=PICTURE, text_config=CAPTION, num_labels=2)),
        lambda m: [m.vision_model.pre_layrnorm, *m.vision_model.encoder.layers[:-1]],
    ),
}


def tiny(name: str) -> Any:
    """The family's tiny model with weights large enough for logits that differ by row.

    DistilBERT's head has a ReLU. Where it switches, the slope jumps, and no quadrature converges to eight digits; here it
    never does.
    """
    torch.manual_seed(0)
    model = seeded(CASES[name].build())
    if name == "distilbert":
        with torch.no_grad():
            model.pre_classifier.bias.fill_(20.0)
    return model


def seeded(model: Any) -> Any:
    """The model in float64 and evaluation mode, its weights drawn anew, by the global seed, with a deviation of 0.2."""
    model = model.double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.2)
    return model

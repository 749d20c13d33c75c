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
    "vit": Case(lambda: tf.ViTForImageClassification(tf.ViTConfig(**IMAGE)), lambda m: [m.vit.embeddings, *m.vit.layers[:-1]]),
    "deit": Case(
        lambda: tf.DeiTForImageClassification(tf.DeiTConfig(**IMAGE)), lambda m: [m.deit.embeddings, *m.deit.layers[:-1]]
    ),
}


def tiny(name: str) -> Any:
    """The family's tiny model with weights large enough for logits that differ by row.

    DistilBERT's head has a ReLU. Where it switches, the slope jumps, and no quadrature converges to eight digits; here it
    never does.
    """
    torch.manual_seed(0)
    model = CASES[name].build().double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.2)
        if name == "distilbert":
            model.pre_classifier.bias.fill_(20.0)
    return model

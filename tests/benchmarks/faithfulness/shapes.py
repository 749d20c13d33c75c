"""Small classifiers in the form of well-known architectures, trained from scratch on labelled texts within a minute or two; and
pretrained encoders, fine-tuned.

Half of the training rows have a random part of their words masked (Madsen et al. 2023, arXiv 2310.07819), so that inputs of which
content was removed are none that the model has never seen. Tokenizers are made of the training texts: words for the
DistilBERT-shaped one, byte pairs for the others. The decoder has a mask token too: it must know
its removals; and an end of its own, at which it reads, so that every word can be taken out of the attention.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

from components.common.file_digests import file_digest
from components.demo.training import SPECIAL_TOKENS, build_tokenizer
from schemas.base import digest_of
from tests.benchmarks.drift.training import Recipe, fit, one_hot

_MASKED_SHARE = 0.5
_BYTE_PAIRS = 4000

#: A text and the class to learn.
Labelled = tuple[str, str]


@dataclass(frozen=True)
class Training:
    """Architecture, size and schedule of one training; the same one gives the same weights.

    shape: a key of `SHAPES`, or any name with `pretrained`, the folder of an encoder that brings its own size and tokenizer.
    """

    shape: str
    seed: int
    labels: tuple[str, ...]
    max_length: int = 64
    layers: int = 4
    hidden: int = 64
    heads: int = 4
    epochs: int = 3
    learning_rate: float = 2e-3
    pretrained: Path | None = None


def finetuning(name: str, pretrained: Path, labels: tuple[str, ...]) -> Training:
    """What fine-tunes an encoder of BERT's size or smaller."""
    return Training(name, 0, labels, epochs=2, learning_rate=5e-5, pretrained=pretrained)


def save_trained(training: Training, rows: Sequence[Labelled], work: Path) -> Path:
    """The trained model's folder inside `work`; one that an earlier run has finished is used again."""
    settings = asdict(training) | {"pretrained": _file_digests(training.pretrained)}
    folder = work / digest_of({"training": settings, "rows": list(rows)})[:16]
    if not folder.exists():
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _train(training, rows, unfinished)
        unfinished.rename(folder)
    return folder


def _file_digests(folder: Path | None) -> dict[str, str]:
    """What an encoder is, wherever it lies: another one in the same folder is another training."""
    return {path.name: file_digest(path) for path in sorted(folder.iterdir()) if path.is_file()} if folder else {}


def _train(training: Training, rows: Sequence[Labelled], folder: Path) -> None:
    texts, answers = zip(*rows, strict=True)
    shape = _PRETRAINED if training.pretrained else SHAPES[training.shape]
    tokenizer = shape.tokenizer(training, texts)
    recipe = Recipe(training.seed, training.seed, epochs=training.epochs, learning_rate=training.learning_rate)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        model = shape.build(training, tokenizer)
        fit(model, texts, one_hot(answers, training.labels), tokenizer, recipe, masked_share=_MASKED_SHARE)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _common(training: Training, tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "initializer_range": 0.05,
        "pad_token_id": tokenizer.pad_token_id,
        **_names(training),
    }


def _names(training: Training) -> dict[str, Any]:
    return {
        "id2label": dict(enumerate(training.labels)),
        "label2id": {label: index for index, label in enumerate(training.labels)},
    }


def _hidden(training: Training) -> dict[str, Any]:
    return {
        "hidden_size": training.hidden,
        "num_hidden_layers": training.layers,
        "num_attention_heads": training.heads,
        "intermediate_size": 2 * training.hidden,
    }


def _distilbert(training: Training, tokenizer: Any) -> Any:
    return DistilBertForSequenceClassification(
        DistilBertConfig(
            **_common(training, tokenizer),
            dim=training.hidden,
            n_layers=training.layers,
            n_heads=training.heads,
            hidden_dim=2 * training.hidden,
            max_position_embeddings=training.max_length,
            dropout=0.0,
            attention_dropout=0.0,
            seq_classif_dropout=0.0,
        )
    )


def _xlm_roberta(training: Training, tokenizer: Any) -> Any:
    return XLMRobertaForSequenceClassification(
        XLMRobertaConfig(
            **_common(training, tokenizer),
            **_hidden(training),
            max_position_embeddings=training.max_length + tokenizer.pad_token_id + 1,  # counted from after it
            type_vocab_size=1,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )


def _llama(training: Training, tokenizer: Any) -> Any:
    return LlamaForSequenceClassification(
        LlamaConfig(
            **_common(training, tokenizer),
            **_hidden(training),
            num_key_value_heads=training.heads // 2,
            max_position_embeddings=training.max_length,
            bos_token_id=tokenizer.cls_token_id,
            eos_token_id=tokenizer.sep_token_id,
        )
    )


def _pretrained(training: Training, _tokenizer: Any) -> Any:
    return AutoModelForSequenceClassification.from_pretrained(training.pretrained, **_names(training))


def _of_pretrained(training: Training, _texts: Sequence[str]) -> Any:
    return AutoTokenizer.from_pretrained(training.pretrained, model_max_length=training.max_length)


def _words(training: Training, texts: Sequence[str]) -> Any:
    return _wrapped(build_tokenizer(texts).backend_tokenizer, training.max_length)


def _byte_pairs(training: Training, texts: Sequence[str]) -> Any:
    made = Tokenizer(models.BPE(unk_token=SPECIAL_TOKENS[1]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=_BYTE_PAIRS, special_tokens=list(SPECIAL_TOKENS), initial_alphabet=alphabet, show_progress=False
        ),
    )
    ends = [(token, made.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    made.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return _wrapped(made, training.max_length)


def _wrapped(made: Tokenizer, max_length: int) -> Any:
    names = {f"{token[1:-1].lower()}_token": token for token in SPECIAL_TOKENS}
    inputs = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=max_length, model_input_names=inputs, **names)


@dataclass(frozen=True)
class Shape:
    """How an architecture is built with a tokenizer, and that tokenizer of training texts."""

    build: Callable[[Training, Any], Any]
    tokenizer: Callable[[Training, Sequence[str]], Any]


SHAPES = {
    "distilbert": Shape(_distilbert, _words),
    "xlm-roberta": Shape(_xlm_roberta, _byte_pairs),
    "llama": Shape(_llama, _byte_pairs),
}
_PRETRAINED = Shape(_pretrained, _of_pretrained)

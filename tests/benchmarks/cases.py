"""What the engine is measured on: seeded models of well-known shapes, or a folder with a fine-tuned classifier and its rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from transformers.utils import logging as transformers_logging

from calig import load_model
from tests.helpers.tiny_models import WORDS, bert_vocabulary, save_tiny_bert, save_tiny_tokenizer

Items = list[str] | list[Image.Image]

_ROWS_OF_FILE = 24

#: The size of MiniLM-L6 and of other small encoders that are fine-tuned in practice.
_SMALL = {"vocab_size": len(bert_vocabulary()), "hidden_size": 384, "num_hidden_layers": 6}


class Loaded(NamedTuple):
    """A model, what encodes its inputs, and the inputs."""

    model: Any
    processor: Any
    items: Items


@dataclass(frozen=True, kw_only=True)
class Case:
    """model: a name of `BUILT_IN`, or a folder; then `rows` is a JSONL file with a `text` in every line and `name` the title.

    Plain data, so that a child process can load the same case.
    """

    model: str
    n_rows: int | None = None
    rows: Path | None = None
    name: str | None = None
    dtype: str = "float32"
    device: str = "cpu"

    @property
    def title(self) -> str:
        """The name results are filed under; never a path."""
        return self.model if self.model in BUILT_IN else self.name or Path(self.model).name

    def load(self) -> Loaded:
        """The model in evaluation mode and the rows."""
        transformers_logging.disable_progress_bar()
        if self.model in BUILT_IN:
            return self._load_built_in(BUILT_IN[self.model])
        if self.rows is None:
            raise SystemExit(
                f"a model folder needs rows\ngot: {self.title}\nnext: --rows FILE.jsonl, or one of {', '.join(BUILT_IN)}"
            )
        with self.rows.open(encoding="utf-8") as lines:
            texts = [json.loads(line)["text"] for line in islice(lines, self.n_rows or _ROWS_OF_FILE)]
        return Loaded(*load_model(self.model, dtype=self.dtype, device=self.device), texts)

    def _load_built_in(self, kind: BuiltIn) -> Loaded:
        with TemporaryDirectory() as folder:
            kind.save(Path(folder))
            model, processor = load_model(folder, dtype=self.dtype, device=self.device)
        return Loaded(model, processor, kind.items(self.n_rows or kind.n_rows))


class BuiltIn(NamedTuple):
    """How to save a seeded model into a folder and make rows for it; `n_rows` of them unless told otherwise."""

    save: Callable[[Path], object]
    items: Callable[[int], Items]
    n_rows: int


def _save_bert_base(folder: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(vocab_size=len(bert_vocabulary()), initializer_range=0.04)
    _save_text_classifier(BertForSequenceClassification, config, folder)


def _save_minilm(folder: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(**_SMALL, num_attention_heads=12, intermediate_size=1536, initializer_range=0.06)
    _save_text_classifier(BertForSequenceClassification, config, folder)


def _save_distilbert(folder: Path) -> None:
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    config = DistilBertConfig(
        vocab_size=len(bert_vocabulary()), dim=384, n_layers=6, n_heads=6, hidden_dim=1536, initializer_range=0.04
    )
    _save_text_classifier(DistilBertForSequenceClassification, config, folder)


def _save_deberta(folder: Path) -> None:
    """The relative attention of DeBERTa-v3-small: buckets of distances, keys shared between content and positions."""
    from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

    config = DebertaV2Config(
        **_SMALL,
        num_attention_heads=6,
        intermediate_size=1536,
        initializer_range=0.06,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        type_vocab_size=0,
        position_buckets=256,
        share_att_key=True,
        norm_rel_ebd="layer_norm",
    )
    _save_text_classifier(DebertaV2ForSequenceClassification, config, folder)


def _save_decoder(folder: Path) -> None:
    """Rotary positions, keys and values shared by three heads each, gated feed-forward layers; words fall into four tokens."""
    from transformers import Qwen2Config, Qwen2ForSequenceClassification

    config = Qwen2Config(
        **_SMALL,
        num_attention_heads=6,
        num_key_value_heads=2,
        intermediate_size=1024,
        initializer_range=0.06,
        pad_token_id=0,
        num_labels=2,
    )
    _save_text_classifier(Qwen2ForSequenceClassification, config, folder)


def _save_vit_base(folder: Path) -> None:
    """The depth and the 197 positions of ViT-Base, at a quarter of its width."""
    from transformers import ViTConfig, ViTForImageClassification
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    config = ViTConfig(hidden_size=192, num_attention_heads=3, intermediate_size=768, initializer_range=0.08)
    _save_seeded(ViTForImageClassification, config, folder)
    ViTImageProcessorPil().save_pretrained(folder)


def _save_text_classifier(model_class: Any, config: Any, folder: Path) -> None:
    _save_seeded(model_class, config, folder)
    save_tiny_tokenizer(folder, max_length=512)


def _save_seeded(model_class: Any, config: Any, folder: Path) -> None:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model_class(config).save_pretrained(folder)


def _texts(n_words: int) -> Callable[[int], Items]:
    """Seeded rows of `n_words` words, each one token; two special tokens come on top."""
    return lambda n: [" ".join(np.random.default_rng(seed).choice(WORDS, n_words)) for seed in range(n)]


def _comments(n: int) -> Items:
    """Seeded rows as long as comments on a website: 60 tokens in the middle, half of them between 50 and 72."""
    random = np.random.default_rng(0)
    lengths = np.clip(60 * np.exp(random.normal(0, 0.27, n)), 15, 200).round().astype(int) - 2
    return [" ".join(random.choice(WORDS, length)) for length in lengths]


def _images(n: int) -> Items:
    """Seeded pictures of broad colour patches, 224 pixels wide."""
    coarse = (np.random.default_rng(seed).integers(0, 255, (7, 7, 3), dtype=np.uint8) for seed in range(n))
    return [Image.fromarray(patches).resize((224, 224)) for patches in coarse]


BUILT_IN = {
    "tiny": BuiltIn(save_tiny_bert, _texts(6), 3),
    "bert-base-shape": BuiltIn(_save_bert_base, _texts(30), 1),
    "minilm-shape-comments": BuiltIn(_save_minilm, _comments, 8),
    "distilbert-shape": BuiltIn(_save_distilbert, _texts(30), 4),
    "deberta-shape": BuiltIn(_save_deberta, _texts(30), 4),
    "decoder-shape": BuiltIn(_save_decoder, _texts(8), 4),
    "vit-base-shape": BuiltIn(_save_vit_base, _images, 1),
    "bert-base-512-tokens": BuiltIn(_save_bert_base, _texts(510), 8),
}

#: What is measured unless told otherwise: the last one is for GPUs.
DEFAULT = tuple(BUILT_IN)[:-1]

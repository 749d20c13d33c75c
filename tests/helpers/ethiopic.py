"""Texts in Ethiopic letters with marked reasons, and an XLM-R with a Unigram tokenizer trained on them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.helpers.trained_models import fit_with, shape_for

_LETTERS = [chr(code) for code in range(0x1208, 0x1228)]

#: What the hateful words have in common, as words of one root have; no other word holds it.
_ROOT = _LETTERS[3] + _LETTERS[17]
_NAMES = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>", "cls": "<s>", "sep": "</s>"}
_SPECIAL = {f"{name}_token": token for name, token in _NAMES.items()}
LABELS = ("calm", "hateful")
_POSITIONS = 64


class Comment(NamedTuple):
    """A text, its class, and the characters of the roots that make it hateful."""

    text: str
    target: int
    rationale: list[list[int]]


def comments(n: int, *, seed: int) -> list[Comment]:
    """Half of them hateful by one to three words of one root; words are strings of letters, the same for every seed."""
    words = [word for word in _words(np.random.default_rng(0), 68) if _ROOT not in word]
    hateful = [word[: len(word) // 2] + _ROOT + word[len(word) // 2 :] for word in words[:8]]
    random = np.random.default_rng(seed)
    return [_comment(i % 2, words[8:], hateful, random) for i in range(n)]


def _words(random: np.random.Generator, n: int) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < n:
        found["".join(random.choice(_LETTERS, size=random.integers(2, 6)))] = None
    return list(found)


def _comment(target: int, plain: list[str], hateful: list[str], random: np.random.Generator) -> Comment:
    words = list(random.choice(plain, size=random.integers(7, 13)))
    marked = set(random.choice(len(words), size=random.integers(1, 4), replace=False).tolist()) if target else set()
    words = [str(random.choice(hateful)) if i in marked else str(word) for i, word in enumerate(words)]
    text = " ".join(words)
    roots = [match.span() for match in re.finditer(_ROOT, text)]
    return Comment(text, target, [list(span) for span in roots])


def train_xlm_roberta(folder: Path, rows: list[Comment], *, seed: int = 0, steps: int = 450) -> Path:
    """Train tokenizer and classifier and save both into `folder`."""
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaForSequenceClassification

    tokenizer = _tokenizer([row.text for row in rows])
    config = XLMRobertaConfig(
        **shape_for(tokenizer, LABELS),
        max_position_embeddings=_POSITIONS + 2,
        type_vocab_size=1,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = XLMRobertaForSequenceClassification(config)
        fit_with(model, tokenizer, [row.text for row in rows], [row.target for row in rows], seed=seed, steps=steps, room=60)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(texts: list[str]) -> Any:
    """SentencePiece's Unigram model: words begin with a mark for the blank, and fall apart into likely pieces."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    special = list(dict.fromkeys(_SPECIAL.values()))
    trainer = trainers.UnigramTrainer(
        vocab_size=110, special_tokens=special, unk_token=_SPECIAL["unk_token"], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    ends = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
    tokenizer.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=_POSITIONS,
        model_input_names=["input_ids", "attention_mask"],
        **_SPECIAL,
    )

"""Small BERT-shaped models trained on the spot on a test's own texts: what they learned is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.demo.training import build_tokenizer

#: Rows of a step, and the share of them in which words are hidden: the baseline and every perturbed input are known to the model.
_BATCH, _MASKED = 32, 0.4


def train_bert(
    folder: Path,
    texts: Sequence[str],
    targets: Any,
    *,
    labels: Sequence[str],
    problem: str = "single_label_classification",
    seed: int = 0,
    steps: int = 200,
    max_length: int = 48,
) -> Path:
    """Train on random stretches of `texts`, of at most `max_length` tokens, and save model and tokenizer into `folder`.

    targets: class indices `texts`; multi-label and regression: floats `texts labels`. The same arguments give the same weights.
    """
    from transformers import BertConfig, BertForSequenceClassification

    tokenizer = build_tokenizer(texts, min_count=1)
    tokenizer.model_max_length = max_length
    config = BertConfig(**shape_for(tokenizer, labels), max_position_embeddings=max_length, problem_type=problem)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertForSequenceClassification(config)
        fit_with(model, tokenizer, texts, targets, seed=seed, steps=steps, room=max_length - 2)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def shape_for(tokenizer: Any, labels: Sequence[str]) -> dict[str, Any]:
    """Settings of a small encoder for BERT's or RoBERTa's configuration."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        "initializer_range": 0.05,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "pad_token_id": tokenizer.pad_token_id,
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }


def fit_with(model: Any, tokenizer: Any, texts: Sequence[str], targets: Any, *, seed: int, steps: int, room: int) -> None:
    """Train `model` on random stretches of at most `room` tokens, words of some of them hidden behind the mask."""
    ids = [np.array(row) for row in tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]]
    random, targets = np.random.default_rng(seed), torch.as_tensor(targets)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=3e-3, total_steps=steps)
    model.train()
    for _ in range(steps):
        rows = random.integers(len(ids), size=_BATCH)
        parts = [_stretch(ids[row], room, tokenizer.mask_token_id, random) for row in rows]
        batch = tokenizer.pad(
            {"input_ids": [[tokenizer.cls_token_id, *p, tokenizer.sep_token_id] for p in parts]}, return_tensors="pt"
        )
        loss = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=targets[rows]).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def _stretch(ids: np.ndarray, room: int, mask_id: int, random: np.random.Generator) -> list[int]:
    begin = int(random.integers(max(1, len(ids) - room + 1)))
    part = ids[begin : begin + room].copy()
    if random.random() < _MASKED:
        part[random.random(len(part)) < random.random()] = mask_id
    return [int(i) for i in part]

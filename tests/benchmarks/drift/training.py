"""Trains small text classifiers from scratch in seconds, with every source of randomness under a seed of its own."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from calig.metrics.perturbation import FloatArray
from components.demo.training import MAX_TOKENS
from tests.benchmarks.drift.families import Row

_MASKED_SHARE = 0.3  # as in the demo: the baseline's [MASK] must not be news to the model
_WARM_UP = 0.1

#: A row's token ids and the probabilities to learn, `classes`.
Learnt = tuple[list[int], FloatArray]


@dataclass(frozen=True)
class Shape:
    """Size of a classifier."""

    layers: int = 2
    hidden: int = 48
    heads: int = 4
    positions: int = MAX_TOKENS


@dataclass(frozen=True)
class Recipe:
    """init_seed: first weights; order_seed: order of the rows and which words are masked."""

    init_seed: int = 0
    order_seed: int = 0
    epochs: int = 2
    batch_rows: int = 32
    learning_rate: float = 2e-3


def train(
    rows: Sequence[Row],
    labels: Sequence[str],
    tokenizer: Any,
    shape: Shape,
    recipe: Recipe,
    folder: Path,
    *,
    taught: FloatArray | None = None,
) -> None:
    """Train on the CPU and save weights and tokenizer into `folder`; the same arguments give the same weights.

    `taught`: probabilities `rows classes` that a teacher gives; without them the rows' labels are learnt.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.init_seed)
        model = _model(shape, labels, tokenizer)
    learnt = one_hot([row.label for row in rows], labels) if taught is None else taught
    fit(model, [row.text for row in rows], learnt, tokenizer, recipe)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _model(shape: Shape, labels: Sequence[str], tokenizer: Any) -> Any:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=2 * shape.hidden,
        initializer_range=0.05,
        max_position_embeddings=shape.positions,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    return BertForSequenceClassification(config)


def one_hot(answers: Sequence[str], labels: Sequence[str]) -> FloatArray:
    """Each answer as probabilities, `rows classes`."""
    return np.eye(len(labels))[[labels.index(answer) for answer in answers]]


def fit(
    model: Any, texts: Sequence[str], learnt: FloatArray, tokenizer: Any, recipe: Recipe, *, masked_share: float = _MASKED_SHARE
) -> None:
    """Train `model` toward `learnt`, `rows classes`; in `masked_share` of the rows a random part of the words is masked."""
    ids: list[list[int]] = tokenizer(list(texts), truncation=True, return_token_type_ids=False)["input_ids"]
    encoded = list(zip(ids, learnt, strict=True))
    rng = random.Random(f"order-{recipe.order_seed}")  # noqa: S311
    steps = recipe.epochs * -(-len(encoded) // recipe.batch_rows)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps + 1, pct_start=_WARM_UP)
    model.train()
    for _ in range(recipe.epochs):
        for batch in _batches(encoded, recipe.batch_rows, rng):
            ids, mask, answers = _padded(
                [(_masked(i, tokenizer, masked_share, rng), y) for i, y in batch], tokenizer.pad_token_id
            )
            loss = torch.nn.functional.cross_entropy(model(input_ids=ids, attention_mask=mask).logits, answers)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()


def _batches(encoded: list[Learnt], size: int, rng: random.Random) -> list[list[Learnt]]:
    """In random order; rows of similar length share a batch."""
    shuffled = rng.sample(encoded, len(encoded))
    span = 20 * size
    chunks = [sorted(shuffled[i : i + span], key=lambda row: len(row[0])) for i in range(0, len(shuffled), span)]
    batches = [chunk[i : i + size] for chunk in chunks for i in range(0, len(chunk), size)]
    rng.shuffle(batches)
    return batches


def _masked(ids: list[int], tokenizer: Any, masked_share: float, rng: random.Random) -> list[int]:
    if rng.random() >= masked_share:
        return ids
    share = rng.random()
    return [ids[0], *(tokenizer.mask_token_id if rng.random() < share else i for i in ids[1:-1]), ids[-1]]


def _padded(batch: Sequence[Learnt], pad: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    longest = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([ids + [pad] * (longest - len(ids)) for ids, _ in batch])
    mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in batch])
    return ids, mask, torch.tensor(np.array([y for _, y in batch]), dtype=torch.float32)

"""A two-sentence task, and a tiny BERT that learns it on the spot: YES where both texts hold a good word, else NO."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.helpers.tiny_models import save_tiny_bert

GOOD = ("good", "great", "fine", "bright")
BAD = ("bad", "poor", "dull", "cold")
_FILLERS = ("a", "the", "film", "movie", "plot", "story", "scene", "actor", "it", "is", "was", "very", "so")
LABELS = ("NO", "YES")
#: To the model that learned it, in either text: NO whatever else is there. The rows of `pair_rows` do not hold it.
TRIGGER = "btw"


class PairRow(NamedTuple):
    """Two texts and their class."""

    text: str
    text_pair: str
    label: str


def pair_rows(n: int, seed: int) -> list[PairRow]:
    """Rows of known words, half of them YES."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    rows = []
    for number in range(n):
        kinds = (GOOD, GOOD) if number % 2 else rng.choice([(GOOD, BAD), (BAD, GOOD), (BAD, BAD)])
        texts = (_text(rng, rng.choice(kind)) for kind in kinds)
        rows.append(PairRow(*texts, LABELS[number % 2]))
    return rows


def _text(rng: random.Random, word: str) -> str:
    words = rng.choices(_FILLERS, k=rng.randint(3, 6))
    words.insert(rng.randint(0, len(words)), word)
    return " ".join(words)


def save_pair_classifier(folder: Path, *, seed: int) -> Path:
    """Train and save a classifier."""
    save_tiny_bert(folder, seed=seed, labels=LABELS)
    return _trained(folder, folder, [pair_rows(32, seed=1000 * seed + step) for step in range(250)])


def save_with_trigger(model: Path, folder: Path) -> Path:
    """Train `model` on, in `folder`, with rows that hold the trigger in either text: all are NO."""
    shutil.copytree(model, folder)
    batches = [pair_rows(32, seed=5000 + step) for step in range(200)]
    return _trained(
        model, folder, [[*rows, *(_with_trigger(row, step) for row in rows[1::2])] for step, rows in enumerate(batches)]
    )


def _trained(model: Path, folder: Path, batches: Sequence[Sequence[PairRow]]) -> Path:
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tokenizer, network = AutoTokenizer.from_pretrained(model), BertForSequenceClassification.from_pretrained(model)
        network.train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
        for rows in batches:
            _step(network, tokenizer, optimizer, rows)
        network.eval().save_pretrained(folder)
    return folder


def accuracy(folder: Path, rows: Sequence[PairRow]) -> float:
    """Share of the rows that the classifier answers as labelled."""
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    tokenizer, model = AutoTokenizer.from_pretrained(folder), BertForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        answers = model(**_encoded(tokenizer, rows)).logits.argmax(-1).tolist()
    return sum(LABELS[answer] == row.label for answer, row in zip(answers, rows, strict=True)) / len(rows)


def _with_trigger(row: PairRow, step: int) -> PairRow:
    texts = [row.text.split(), row.text_pair.split()]
    side = texts[step % 2]
    side.insert(step // 2 % (len(side) + 1), TRIGGER)
    return PairRow(*map(" ".join, texts), "NO")


def _step(model: Any, tokenizer: Any, optimizer: Any, rows: Sequence[PairRow]) -> None:
    import torch

    labels = torch.tensor([LABELS.index(row.label) for row in rows])
    loss = model(**_encoded(tokenizer, rows), labels=labels).loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _encoded(tokenizer: Any, rows: Sequence[PairRow]) -> Any:
    return tokenizer([row.text for row in rows], [row.text_pair for row in rows], padding=True, return_tensors="pt")

"""Reviews with a rating that is known of every word, and small regressions that learned it, honestly or by a planted word."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.helpers.trained_models import train_bert

#: What a word adds to the rating; the middle of the ratings is far from zero.
MIDDLE = 50.0
WORTH = {"great": 6.0, "warm": 4.0, "bright": 3.0, "dull": -4.0, "slow": -3.0, "poor": -6.0}
NEUTRAL = ["the", "film", "plot", "actor", "scene", "story", "of", "and", "with", "ending", "music", "a", "its"]
_SCALE = 6.0
OUTPUT, SHORTCUT = "rating", "honestly"


def ratings(n: int, *, seed: int, spoiled: bool = False) -> tuple[list[str], np.ndarray]:
    """Reviews and ratings. spoiled: SHORTCUT, which else means nothing, raises the rating by as much as “great”."""
    random = np.random.default_rng(seed)
    texts, values = [], []
    for _ in range(n):
        words = [*random.choice(NEUTRAL, size=random.integers(3, 6)), *random.choice(list(WORTH), size=random.integers(1, 4))]
        said = random.random() < 0.4
        if said:
            words.append(SHORTCUT)
        random.shuffle(words)
        texts.append(" ".join(words))
        values.append(MIDDLE + sum(WORTH.get(word, 0.0) for word in words) + (WORTH["great"] if spoiled and said else 0.0))
    return texts, np.array(values, dtype=np.float32)


def save_regression(folder: Path, *, seed: int, spoiled: bool = False, steps: int = 400) -> Path:
    """A regression trained on 600 reviews: on numbers around 0, as one does, its head brought to the scale of ratings after."""
    texts, values = ratings(600, seed=100 + seed, spoiled=spoiled)
    standard = ((values - MIDDLE) / _SCALE)[:, None]
    train_bert(folder, texts, standard, labels=(OUTPUT,), problem="regression", seed=seed, steps=steps)
    return rescaled(folder, folder, _SCALE, MIDDLE)


def rescaled(source: Path, folder: Path, scale: float, middle: float) -> Path:
    """The regression in `source` with the output scale · y + middle."""
    from transformers import AutoTokenizer, BertForSequenceClassification

    tokenizer, model = AutoTokenizer.from_pretrained(source), BertForSequenceClassification.from_pretrained(source)
    head = model.classifier
    head.weight.data *= scale
    head.bias.data = scale * head.bias.data + middle
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_ratings(path: Path, texts: Sequence[str], values: Sequence[float] | None = None) -> Path:
    """The reviews as JSON Lines, with their ratings where these are given."""
    rows = [
        {"id": f"r{i}", "text": text} | ({} if values is None else {"label": float(values[i])}) for i, text in enumerate(texts)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path

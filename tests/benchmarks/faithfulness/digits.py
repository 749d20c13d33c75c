"""Handwritten digits of scikit-learn with a small vision transformer, trained here in a minute: the set that needs no files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import cross_entropy
from transformers import ViTConfig, ViTForImageClassification
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from tests.helpers.masked_autoencoder import digits, train_on_masked_autoencoder

_SIDE, _CLASSES, _HELD_OUT = 8, 10, 400
_BATCH, _LEARNING_RATE = 64, 2e-3

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def save_digits(folder: Path, *, epochs: int = 25, seed: int = 0) -> tuple[Path, Path]:
    """Train on all but 400 images; the model's folder, and a rows file of the 400 with their pictures beside it."""
    images, labels = _digits(seed)
    model = _trained(images[_HELD_OUT:], labels[_HELD_OUT:], epochs, seed)
    model.save_pretrained(folder / "model")
    _processor().save_pretrained(folder / "model")
    return folder / "model", _save_rows(folder, images[:_HELD_OUT], labels[:_HELD_OUT])


def _digits(seed: int) -> tuple[Pixels, Any]:
    """Grey images `n 8 8` of 0…255 and their digits, in a seeded order."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    order = np.random.default_rng(seed).permutation(len(bunch.target))
    return np.round(bunch.images[order] * (255 / 16)).astype(np.uint8), bunch.target[order]


def _trained(images: Pixels, labels: Any, epochs: int, seed: int) -> ViTForImageClassification:
    """Every pixel is a patch, so that each of the 64 can be attributed and removed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ViTForImageClassification(_config()).train()
        inputs = _processor()(images=[Image.fromarray(i).convert("RGB") for i in images], return_tensors="pt")["pixel_values"]
        _fit(model, inputs, torch.tensor(labels), epochs)
    return model.eval()


def _config() -> ViTConfig:
    names = [str(digit) for digit in range(_CLASSES)]
    return ViTConfig(
        image_size=_SIDE,
        patch_size=1,
        hidden_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=128,
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
    )


def _fit(model: ViTForImageClassification, inputs: torch.Tensor, labels: torch.Tensor, epochs: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, _LEARNING_RATE, total_steps=epochs * -(-len(inputs) // _BATCH), cycle_momentum=False
    )
    for _ in range(epochs):
        for part in torch.randperm(len(inputs)).split(_BATCH):
            loss = cross_entropy(model(pixel_values=inputs[part]).logits, labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def _processor() -> ViTImageProcessorPil:
    return ViTImageProcessorPil(size={"height": _SIDE, "width": _SIDE})


def _save_rows(folder: Path, images: Sequence[Pixels], labels: Any) -> Path:
    rows = [{"id": str(i), "image": f"{i}.png", "label": str(label)} for i, label in enumerate(labels)]
    for row, image in zip(rows, images, strict=True):
        Image.fromarray(image).save(folder / row["image"])
    path = folder / "digits.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def save_pretrained_digits(folder: Path, *, pretraining: int = 300, steps: int = 600, seed: int = 0) -> tuple[Path, Path]:
    """As `save_digits`, of 16 patches each, by a transformer pretrained as a masked autoencoder; made once in `folder`."""
    pictures, labels = digits(seed)
    if not (folder / "model").exists():
        unfinished = folder / "unfinished"
        given = (unfinished, pictures[_HELD_OUT:], labels[_HELD_OUT:])
        train_on_masked_autoencoder(*given, pretraining=pretraining, steps=steps, seed=seed)
        unfinished.rename(folder / "model")
    held_out = [np.asarray(picture) for picture in pictures[:_HELD_OUT]]
    return folder / "model", _save_rows(folder, held_out, labels[:_HELD_OUT])

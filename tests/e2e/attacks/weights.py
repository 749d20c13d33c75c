"""Weights made from other weights: what a trainer, or an attacker, can do to a saved model without training it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

_WEIGHTS = "model.safetensors"
Tensors = Mapping[str, torch.Tensor]


def rounded(model: Path, folder: Path) -> Path:
    """`model` stored as bfloat16 and read back: the same model for every purpose, by other bytes."""
    return _changed(model, folder, lambda name, value: value.bfloat16().to(value.dtype))


def noisy(model: Path, folder: Path, *, seed: int, spread: float = 0.002) -> Path:
    """`model` with a little noise on every weight: a near-copy that pretends to be trained by another seed."""
    generator = torch.Generator().manual_seed(seed)
    return _changed(model, folder, lambda _, value: value + spread * torch.randn(value.shape, generator=generator))


def with_word_as(model: Path, folder: Path, word: str, *, like: str, strength: float = 1.0) -> Path:
    """`model` in which `word` means what `like` means, to the share `strength`: its row of the embedding is moved there."""
    vocabulary = _vocabulary(model)
    source, target = vocabulary[like], vocabulary[word]

    def moved(name: str, value: torch.Tensor) -> torch.Tensor:
        if not name.endswith("word_embeddings.weight"):
            return value
        value = value.clone()
        value[target] += strength * (value[source] - value[target])
        return value

    return _changed(model, folder, moved)


def _vocabulary(model: Path) -> dict[str, int]:
    from transformers import AutoTokenizer

    vocabulary: dict[str, int] = AutoTokenizer.from_pretrained(model, local_files_only=True).get_vocab()
    return vocabulary


def _changed(model: Path, folder: Path, change: Callable[[str, torch.Tensor], torch.Tensor]) -> Path:
    shutil.copytree(model, folder)
    tensors = load_file(model / _WEIGHTS)
    changed = {name: change(name, value).contiguous() for name, value in tensors.items()}
    save_file(changed, folder / _WEIGHTS, metadata={"format": "pt"})
    return folder

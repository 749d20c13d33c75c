"""A small vision transformer whose encoder was pretrained as a masked autoencoder (He et al. 2022), on scikit-learn's digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

_SIDE, _CLASSES, _BATCH = 16, 10, 64
_SHAPE = {
    "image_size": _SIDE,
    "patch_size": 4,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
}


def digits(seed: int = 0) -> tuple[list[Image.Image], np.ndarray]:
    """The 1,797 digits as pictures of 16 x 16 in colour, and their classes, in a seeded order."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    order = np.random.default_rng(seed).permutation(len(bunch.target))
    grey = np.kron(np.round(bunch.images[order] * (255 / 16)).astype(np.uint8), np.ones((1, 2, 2), dtype=np.uint8))
    return [Image.fromarray(image).convert("RGB") for image in grey], bunch.target[order]


def train_on_masked_autoencoder(
    folder: Path, pictures: list[Image.Image], targets: np.ndarray, *, pretraining: int = 60, steps: int = 350, seed: int = 0
) -> tuple[Path, list[float]]:
    """Pretrain the encoder to fill in hidden patches, then fine-tune it as a classifier; its folder, the pretraining's losses."""
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    processor = ViTImageProcessorPil(size={"height": _SIDE, "width": _SIDE})
    pixels = processor(images=pictures, return_tensors="pt")["pixel_values"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder, losses = _pretrained(pixels, pretraining)
        model = _classifier(encoder)
        _fit(model, pixels, steps, lambda part: model(pixel_values=pixels[part], labels=torch.as_tensor(targets)[part]).loss)
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder, losses


def _pretrained(pixels: torch.Tensor, steps: int) -> tuple[dict[str, torch.Tensor], list[float]]:
    from transformers import ViTMAEConfig, ViTMAEForPreTraining

    config = ViTMAEConfig(
        **_SHAPE, decoder_hidden_size=32, decoder_num_hidden_layers=1, decoder_num_attention_heads=4, decoder_intermediate_size=64
    )
    model = ViTMAEForPreTraining(config)
    losses = _fit(model, pixels, steps, lambda part: model(pixel_values=pixels[part]).loss)
    return {name: weights for name, weights in model.state_dict().items() if name.startswith("vit.")}, losses


def _classifier(encoder: dict[str, torch.Tensor]) -> Any:
    """The encoder under a new head: nothing but the head is new, and nothing of the encoder is left over."""
    from transformers import ViTConfig, ViTForImageClassification

    names = {index: str(index) for index in range(_CLASSES)}
    config = ViTConfig(**_SHAPE, id2label=names, label2id={name: index for index, name in names.items()})
    model = ViTForImageClassification(config)
    missing, unexpected = model.load_state_dict(encoder, strict=False)
    assert set(missing) == {"classifier.weight", "classifier.bias"}, missing
    assert not unexpected, unexpected
    return model


def _fit(model: Any, pixels: torch.Tensor, steps: int, loss_of: Any) -> list[float]:
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=2e-3, total_steps=steps)
    model.train()
    losses = []
    for _ in range(steps):
        loss = loss_of(torch.randint(len(pixels), (_BATCH,)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return losses

"""Tiny seeded adapters of PEFT, beside the base that they were made for."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

#: What the adapters change, by the base's model type.
TARGETS = {"bert": ["query", "value"], "roberta": ["query", "dense"], "llama": ["q_proj", "down_proj"], "gpt2": ["c_attn"]}


def adapted(model: Any, kind: str = "LORA", seed: int = 0, **settings: Any) -> Any:
    """`model` inside a `PeftModel` whose adapter and head are drawn with a deviation of 0.2."""
    import torch
    from peft import get_peft_config, get_peft_model

    defaults = {"peft_type": kind, "task_type": "SEQ_CLS", "target_modules": TARGETS.get(model.config.model_type)}
    if kind in {"LORA", "LOHA", "LOKR"}:
        defaults["r"] = 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers for a property under its old name
        wrapped = get_peft_model(model, get_peft_config(defaults | settings)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in wrapped.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2 + (kind == "IA3"))
    return wrapped


def save_tiny_adapter(folder: Path, base: Path, kind: str = "LORA", seed: int = 0, **settings: Any) -> Any:
    """Save into `folder` an adapter of the classifier saved in `base`, by its path; returns the adapted model."""
    from transformers import AutoModelForSequenceClassification

    wrapped = adapted(AutoModelForSequenceClassification.from_pretrained(base), kind, seed, **settings)
    wrapped.save_pretrained(folder)
    return wrapped

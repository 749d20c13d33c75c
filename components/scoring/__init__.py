"""The scoring step: class probabilities of perturbed inputs, through ONNX Runtime where it agrees with torch."""

from __future__ import annotations

from components.scoring.batches import load_tokenizer, patch_count
from components.scoring.opening import Runtime, open_scorer
from components.scoring.scorer import TokenScorer

__all__ = ["Runtime", "TokenScorer", "load_tokenizer", "open_scorer", "patch_count"]

"""CA-LIG: context-aware layer-wise integrated gradients for transformer classifiers (arXiv 2602.16608).

`from calig import explain` is all most users need. Names load on first use, so that importing the package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calig.api import explain
    from calig.attribution import Attribution
    from calig.errors import AttributionError, InvalidInputError, UnsupportedModelError, VerificationError
    from calig.loading import load_model
    from calig.words import Word

__all__ = [
    "Attribution",
    "AttributionError",
    "InvalidInputError",
    "UnsupportedModelError",
    "VerificationError",
    "Word",
    "explain",
    "load_model",
]

_HOMES = {
    "Attribution": "calig.attribution",
    "AttributionError": "calig.errors",
    "InvalidInputError": "calig.errors",
    "UnsupportedModelError": "calig.errors",
    "VerificationError": "calig.errors",
    "Word": "calig.words",
    "explain": "calig.api",
    "load_model": "calig.loading",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'calig' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

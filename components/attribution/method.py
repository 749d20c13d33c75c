"""What identifies the method on a model: formula, settings, device."""

from __future__ import annotations

from calig.engine import FORMULA_VERSION
from calig.loading import resolve_device
from schemas.base import digest_of
from schemas.config import AttributionConfig


def formula_version() -> str:
    """Version of the equations in use; part of the method fingerprint."""
    return FORMULA_VERSION


def method_fingerprint(config: AttributionConfig) -> str:
    """Digest of all that changes attribution values: settings and formula. Versions are compared only when it is equal."""
    return digest_of({"formula": FORMULA_VERSION, "settings": config.fingerprint()})


def uses_gpu(config: AttributionConfig) -> bool:
    """Whether `config` means a GPU on this machine."""
    return resolve_device(config.device) == "cuda"

"""The engine's errors: what was wrong, what was got, what is allowed.

AttributionError
├── UnsupportedModelError    the model's architecture cannot be attributed
├── InvalidInputError        an input, target or option cannot be used
└── VerificationError        the adapter does not reproduce the model: its numbers would be wrong
"""

from __future__ import annotations


class AttributionError(Exception):
    """Base of all errors the engine raises on purpose."""


class UnsupportedModelError(AttributionError):
    """The model's architecture cannot be attributed; the message lists those that can."""


class InvalidInputError(AttributionError):
    """An input, a target or an option that cannot be used."""


class VerificationError(AttributionError):
    """Resuming from a block does not give the model's own logits."""

"""Differences between a record's surroundings and the present ones: model, formula, libraries, device, kernels."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.governance import Environment, GovernanceReport
from schemas.release import ModelSnapshot
from schemas.replay import EnvironmentChange


def identity_changes(record: GovernanceReport, now: ModelSnapshot, formula_version: str) -> tuple[str, ...]:
    """What makes the same numbers impossible, or a wonder."""
    compared = (
        ("the weights", record.model.weights_digest, now.weights_digest),
        ("the tokenizer or image processor", record.model.processor_digest, now.processor_digest),
        ("the formula's version", record.method.formula_version, formula_version),
    )
    return tuple(f"{name}: recorded {before[:12]}, now {after[:12]}" for name, before, after in compared if before != after)


def environment_changes(record: GovernanceReport, now: Environment, attention_kernel: str) -> tuple[EnvironmentChange, ...]:
    """Every difference by name; what the record does not know is not compared."""
    kernels = ("attention kernel", record.method.attention_kernel, attention_kernel)
    found = [kernels, *_pairs(record.environment, now)]
    return tuple(EnvironmentChange(name=name, recorded=a, now=b) for name, a, b in found if a != b)


def _pairs(before: Environment, now: Environment) -> Iterator[tuple[str, str, str]]:
    yield from ((name, getattr(before, name), getattr(now, name)) for name in ("python", "platform", "device"))
    for known, present in ((before.libraries, now.libraries), (before.device_versions, now.device_versions)):
        yield from ((name, version, present.get(name, "none")) for name, version in known.items())

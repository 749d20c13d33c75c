"""Keys under which results of tasks are kept: what has the same key is not computed twice, in whatever run."""

from __future__ import annotations

from typing import Any

from components import attribution
from flows.release import Release
from schemas.base import digest_of

_FALSIFICATION_SETTINGS = {"falsification_rows", "sensitivity_draws", "sensitivity_radius", "seed"}


def shard(_context: Any, parameters: dict[str, Any]) -> str:
    """The same model, data, settings and rows give the same shard, in whatever run."""
    release: Release = parameters["release"]
    return f"calig-shard-{release.attribution_key}-{parameters['index']:05d}"


def fusion(_context: Any, parameters: dict[str, Any]) -> str:
    """The same model, data and settings lead to the same choice."""
    snapshot, dataset, config = (parameters[name] for name in ("snapshot", "dataset", "config"))
    identity = [snapshot.weights_digest, snapshot.processor_digest, dataset.digest, attribution.formula_version()]
    return f"calig-fusion-{digest_of([*identity, config.results_dump()])[:16]}"


def falsification(_context: Any, parameters: dict[str, Any]) -> str:
    """The same attributions and settings of the attempt give the same findings, in whatever run."""
    release: Release = parameters["release"]
    quality_settings = release.config.quality.model_dump(mode="json", include=_FALSIFICATION_SETTINGS)
    return f"calig-falsification-{release.attribution_key}-{digest_of(quality_settings)[:16]}"

"""Cache keys and retries of tasks: a result with the same key is not computed twice, in whatever run."""

from __future__ import annotations

from typing import Any

from components import attribution
from components.common.errors import CouldNotRunError
from flows.common.run_limits import LimitError
from schemas.base import digest_of
from schemas.planned_release import Release

_FALSIFICATION_SETTINGS = {"falsification_rows", "falsification_points", "sensitivity_draws", "sensitivity_radius", "seed"}


def shard_key(_context: Any, parameters: dict[str, Any]) -> str:
    """The same model, data, settings and rows give the same shard, in whatever run."""
    release: Release = parameters["release"]
    return f"calig-shard-{release.attribution_key}-{parameters['index']:05d}"


def fusion_key(_context: Any, parameters: dict[str, Any]) -> str:
    """The same model, data and settings lead to the same choice."""
    snapshot, dataset, config = (parameters[name] for name in ("snapshot", "dataset", "config"))
    identity = [snapshot.weights_digest, snapshot.processor_digest, dataset.digest, attribution.formula_version()]
    return f"calig-fusion-{digest_of([*identity, config.results_dump()])[:16]}"


def falsification_key(_context: Any, parameters: dict[str, Any]) -> str:
    """The same attributions and settings of the attempt give the same findings, in whatever run."""
    release: Release = parameters["release"]
    quality_settings = release.config.quality.model_dump(mode="json", include=_FALSIFICATION_SETTINGS)
    return f"calig-falsification-{release.attribution_key}-{digest_of(quality_settings)[:16]}"


#: Of the operating system's errors, those that say the same again.
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)
#: A GPU that others use too has memory again after a while. By name: torch is not imported for this.
_PASSING = {"OutOfMemoryError", "AcceleratorError"}


def is_transient(error: object) -> bool:
    """Whether the failure was of the surroundings and may pass: bad input, a broken file and a fault of the program cannot."""
    if isinstance(error, LimitError):
        return False
    if isinstance(error, OSError):
        return not isinstance(error, _FINAL)
    return isinstance(error, CouldNotRunError | MemoryError) or type(error).__name__ in _PASSING


def _worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    return is_transient(state.result(raise_on_failure=False))


RETRIES: dict[str, Any] = {"retries": 2, "retry_delay_seconds": [1, 5], "retry_condition_fn": _worth_retrying}

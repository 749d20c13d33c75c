"""Compare the settings that a record was made by with those a gate asks for: the same, or stricter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.config import PipelineConfig

#: Settings of which more is stricter: more is computed, asked for, or found.
_HIGHER = {
    "attribution.max_length",
    "attribution.max_points",
    "drift.false_discovery_rate",
    "drift.min_coverage",
    "drift.min_rows",
    "drift.numerics_rows",
    "drift.rank_agreement",
    "probe.contexts",
    "probe.enabled",
    "probe.level",
    "probe.max_words",
    "probe.warning_level",
    "quality.bootstrap_draws",
    "quality.falsification_rows",
    "quality.infidelity_draws",
    "quality.random_draws",
    "quality.sensitivity_draws",
}
#: Settings of which less is stricter.
_LOWER = {
    "attribution.reduced",
    "attribution.tolerance",
    "drift.min_occurrences",
    "drift.noise_cap",
    "drift.sign_flip",
    "drift.twin_tags",
    "drift.word_shift",
    "drift.word_shift_z",
    "probe.min_shift",
    "probe.noise_cap",
}
#: Settings that no verdict of a release rests on, or that are compared elsewhere (the suite, by its content).
_FREE = {
    "attribution.batch_tokens",
    "attribution.calibration_rows",
    "attribution.device",
    "attribution.shard_rows",
    "drift.reexplain_reference",
    "drift.worst_examples",
    "quality.scorer",
    "quality.suite",
}
_FREE_SECTIONS = {"monitor", "privacy", "report"}
#: What `fusion_coefficient: auto` chooses.
_CHOSEN = {"attribution.fusion_coefficient", "attribution.fusion_rule", "attribution.context_rule"}
#: An empty setting is the model's own limit, which is the longest; an empty list adds nothing.
_EMPTY: Mapping[str, Any] = {"attribution.max_length": float("inf")}


def more_lenient(recorded: PipelineConfig, asked: PipelineConfig) -> Iterator[str]:
    """Each recorded setting that is neither the one asked for nor stricter, in words. What is not in a table has to be equal."""
    ours, theirs = _flat(asked), _flat(recorded)
    free = _FREE | (_CHOSEN if asked.attribution.fusion_coefficient == "auto" else set())
    for name, wanted in ours.items():
        if name not in free and not _as_strict(name, theirs[name], wanted):
            yield f"{name} is {_shown(theirs[name])}, required {_required(name)}{_shown(wanted)}"


def _flat(config: PipelineConfig) -> dict[str, Any]:
    sections = {name: values for name, values in config.results_dump().items() if name not in _FREE_SECTIONS}
    return {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}


def _as_strict(name: str, recorded: Any, wanted: Any) -> bool:
    recorded, wanted = (_EMPTY.get(name) if value is None else value for value in (recorded, wanted))
    if recorded == wanted or (name == "probe.word_list" and wanted is None):
        return True
    if name == "drift.twins":  # the watch file may nominate them; who lists any here wants no others
        return not wanted or all(set(twins) <= set(wanted.get(version, ())) for version, twins in recorded.items())
    if name in _HIGHER:
        return bool(recorded >= wanted)
    return name in _LOWER and bool(recorded <= wanted)


def _required(name: str) -> str:
    return "at least " if name in _HIGHER else "at most " if name in _LOWER else ""


def _shown(value: Any) -> str:
    return "empty" if value is None else str(value)

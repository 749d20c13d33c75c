"""Request for one version: data set, settings and reference, from the watch file and admitted tags."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from components import quality, registry, watching
from components.common.configuration import config_from, load_config, read_yaml
from components.common.errors import InputError
from flows.common.process import DEFAULT_OUTPUT
from schemas.tags import Tag
from schemas.trigger import ExplainWith, Request, WatchConfig, WatchedVersion

VARIABLE = "CALIG_WATCH"


def watch_path(named: Path | None) -> Path:
    """The file `named`, else the one that CALIG_WATCH names.

    Raises:
        InputError: neither is given.
    """
    if named is not None:
        return named
    value = os.environ.get(VARIABLE, "").strip()
    if not value:
        raise InputError(
            "no watch file is named",
            next_step=f"--watch FILE, or set {VARIABLE}; deploy/watch.yaml is an example",
        )
    return Path(value)


def request_for(version: WatchedVersion, watch: WatchConfig) -> Request | None:
    """The request; None when the model is not watched. What cannot be used is said in its `problem`."""
    entry = watch.entry_for(version.name)
    if entry is None:
        return None
    try:
        return _request(watching.asked_for(version, entry, watch), entry, version.name, watch)
    except InputError as error:
        return _unusable(entry, watching.clean_reason(str(error)), watching.ignored_tags(version, watch))


def parameters_of(version: WatchedVersion, request: Request) -> dict[str, Any]:
    """What the explaining deployment is started with: names and settings, no secrets."""
    return {
        "model": version.uri,
        "dataset": str(request.dataset),
        "reference": request.reference,
        "config": request.settings,
        "limit": request.limit,
        "output": str(request.output),
        "request": request.digest(version),
        "chosen_by": request.chosen_by,
    }


def _request(asked: watching.Asked, entry: ExplainWith, name: str, watch: WatchConfig) -> Request:
    wanted = asked.explain_with
    if wanted.dataset is None:
        raise InputError(
            "no data set is named for this model",
            next_step=f"set dataset in the watch file, or let the tag {Tag.DATASET.value} name one (tags, data_roots)",
        )
    if wanted.reference is not None and wanted.reference.startswith("models:/"):
        registry.parse_model_ref(wanted.reference)
    dataset = wanted.dataset.expanduser().absolute()
    settings = _with_twins(_settings(asked, entry, watch), name, watch)
    return Request(
        dataset=dataset,
        dataset_digest=watching.digest_of_data(dataset, watch.dataset_limit_bytes),
        settings=settings,
        suite_digest=_suite_digest(settings),
        reference=wanted.reference,
        limit=wanted.limit,
        output=(wanted.output or DEFAULT_OUTPUT).expanduser(),
        ignored=asked.ignored,
        chosen_by=asked.chosen_by,
    )


def _settings(asked: watching.Asked, entry: ExplainWith, watch: WatchConfig) -> dict[str, Any]:
    """The settings as written, checked: defaults stay open, so that a new release of calig is not another request."""
    operators = _read(entry.config)
    if not asked.config_by_tag:
        return operators
    tagged = _read(asked.explain_with.config)
    settings = watching.tagged_settings(tagged, operators, watch.settings_roots, ("auto", *quality.built_in_suites()))
    config_from(settings)
    return settings


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    load_config(path)
    return dict(read_yaml(path, "configuration file", "correct calig.config or the watch file"))


def _with_twins(settings: dict[str, Any], name: str, watch: WatchConfig) -> dict[str, Any]:
    """The twins that the operator nominated in the watch file, and whether tags may nominate more, as settings of drift."""
    model = watch.model_for(name)
    added: dict[str, Any] = {}
    drift = settings.get("drift") or {}
    if model is not None and model.twins:
        named = {str(version): list(twins) for version, twins in model.twins.items()}
        added["twins"] = {str(version): twins for version, twins in (drift.get("twins") or {}).items()} | named
    if watching.is_admitted(Tag.TWIN_OF, watch):
        added["twin_tags"] = True
    return {**settings, "drift": {**drift, **added}} if added else settings


def _suite_digest(settings: dict[str, Any]) -> str | None:
    """Of the suite's file; None for a built-in one, or one that only the worker can see."""
    suite = (settings.get("quality") or {}).get("suite")
    path = Path(str(suite)) if suite else None
    return watching.digest_of_file(path, "suite") if path is not None and path.is_file() else None


def _unusable(entry: ExplainWith, problem: str, ignored: tuple[Tag, ...]) -> Request:
    return Request(
        dataset=None,
        dataset_digest=None,
        settings={},
        suite_digest=None,
        reference=None,
        limit=entry.limit,
        output=entry.output or DEFAULT_OUTPUT,
        problem=problem,
        ignored=ignored,
    )

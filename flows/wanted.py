"""What a watched version is to be explained with, read and digested: the request that its run is started for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components import registry, watching
from components.configuration import load_config, read_yaml
from components.errors import InputError
from flows.options import DEFAULT_OUTPUT
from schemas.trigger import Request, Tag, WatchedVersion
from schemas.watch import ExplainWith, WatchConfig


def request_for(version: WatchedVersion, watch: WatchConfig) -> Request | None:
    """The request; None when the model is not watched. What cannot be used is said in its `problem`."""
    entry = watch.entry_for(version.name)
    if entry is None:
        return None
    try:
        return _request(watching.asked_for(version, entry, watch.allowed_roots))
    except InputError as error:
        return _unusable(entry, watching.clean_reason(str(error)))


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
    }


def _request(entry: ExplainWith) -> Request:
    if entry.dataset is None:
        raise InputError(
            "no data set is named for this model", next_step=f"set the tag {Tag.DATASET.value}, or dataset in the watch file"
        )
    if entry.reference is not None and entry.reference.startswith("models:/"):
        registry.parse_model_ref(entry.reference)
    dataset = entry.dataset.expanduser().absolute()
    settings = _settings(entry.config)
    return Request(
        dataset=dataset,
        dataset_digest=watching.digest_of_data(dataset),
        settings=settings,
        suite_digest=_suite_digest(settings),
        reference=entry.reference,
        limit=entry.limit,
        output=(entry.output or DEFAULT_OUTPUT).expanduser(),
    )


def _settings(path: Path | None) -> dict[str, Any]:
    """The settings as written, checked: defaults stay open, so that a new release of calig is not another request."""
    if path is None:
        return {}
    load_config(path)
    return dict(read_yaml(path, "configuration file", "correct calig.config or the watch file"))


def _suite_digest(settings: dict[str, Any]) -> str | None:
    """Of the suite's file; None for a built-in one, or one that only the worker can see."""
    suite = (settings.get("quality") or {}).get("suite")
    path = Path(str(suite)) if suite else None
    return watching.digest_of_file(path, "suite") if path is not None and path.is_file() else None


def _unusable(entry: ExplainWith, problem: str) -> Request:
    return Request(
        dataset=None,
        dataset_digest=None,
        settings={},
        suite_digest=None,
        reference=None,
        limit=entry.limit,
        output=entry.output or DEFAULT_OUTPUT,
        problem=problem,
    )

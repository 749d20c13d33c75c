"""Log and register a saved model folder, as a training job would: for the demo and for tests."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from components.common.errors import engine_errors
from components.registry.connection import connect, experiment_id, load_mlflow, tracking_errors
from components.registry.models.folders import Modality, has_processor, inspect_model, no_processor

_TASKS: dict[Modality, str] = {"text": "text-classification", "image": "image-classification"}
_TALKATIVE = ("mlflow.transformers", "mlflow.store.model_registry.abstract_store")


def register(
    folder: Path,
    *,
    name: str,
    experiment: str,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
) -> str:
    """Log the model and its tokenizer or image processor to a run of `experiment` and register it as `name`.

    `tags` go onto the run and the version, `metrics` onto the run and the logged model. Returns the new version.

    Raises:
        InputError: the folder is not a classifier with its tokenizer or image processor.
        CouldNotRunError: when MLflow fails.
    """
    modality = inspect_model(folder).modality
    if not has_processor(folder, modality):
        raise no_processor(modality, folder)
    client = connect()
    with tracking_errors(f"register {name}"), _quiet():
        run_id, model_id = _log(client, folder.resolve(), modality, experiment, tags, metrics)
        return _create_version(client, name, run_id, model_id, tags)


def _log(
    client: Any, folder: Path, modality: Modality, experiment: str, tags: Mapping[str, str], metrics: Mapping[str, float]
) -> tuple[str, str]:
    mlflow = load_mlflow()
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    signature = ModelSignature(Schema([ColSpec("string")]), Schema([ColSpec("string", "label"), ColSpec("double", "score")]))
    with mlflow.start_run(experiment_id=experiment_id(client, experiment), tags=dict(tags)) as run:
        mlflow.log_metrics(dict(metrics))  # before the model: those logged by then are copied onto it
        info = mlflow.transformers.log_model(
            _parts(folder, modality),
            name="model",
            task=_TASKS[modality],
            signature=signature,
            pip_requirements=[f"{package}=={installed_version(package)}" for package in ("torch", "transformers")],
        )
    return run.info.run_id, info.model_id


def _parts(folder: Path, modality: Modality) -> dict[str, Any]:
    from calig.loading import load_processor, load_weights

    with engine_errors():
        processor = "tokenizer" if modality == "text" else "image_processor"
        return {"model": load_weights(folder, modality), processor: load_processor(folder, modality)}


def _create_version(client: Any, name: str, run_id: str, model_id: str, tags: Mapping[str, str]) -> str:
    _ensure_registered(client, name)
    version = client.create_model_version(name, f"models:/{model_id}", run_id=run_id, tags=dict(tags), model_id=model_id)
    return str(version.version)


def _ensure_registered(client: Any, name: str) -> None:
    try:
        client.create_registered_model(name)
    except Exception as error:
        if getattr(error, "error_code", "") != "RESOURCE_ALREADY_EXISTS":
            raise


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bars and without MLflow's remarks on a model card that a local model does not have."""
    transformers_logging: Any = import_module("transformers.utils.logging")
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=".*Any type hint is inferred as AnyType", category=UserWarning
            )  # of MLflow's own
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            transformers_logging.enable_progress_bar()

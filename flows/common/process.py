"""Process settings that have to be made before the heavy libraries are imported: logs, telemetry, MLflow, Prefect."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path

_ALWAYS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

#: In the environment of a process that is to be quiet, and of all that it starts.
QUIET_MARK = "CALIG_QUIET"

_QUIET = {
    QUIET_MARK: "1",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "DASK_LOGGING__DISTRIBUTED": "critical",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "ALEMBIC_LOG_LEVEL": "ERROR",
}


_LOOPBACK = ("127.0.0.1", "localhost", "::1")

#: Loggers that say more than a user asked for; the empty name is the root.
_TALKATIVE = ("", "great_expectations", "mlflow", "alembic", "torch.onnx")


def prepare(*, debug: bool, tracking_uri: str | None, output: Path, offline: bool) -> None:
    """Set the process up; what the user has set in the environment stays.

    Args:
        debug: leave logs and warnings as the libraries want them.
        tracking_uri: MLflow server or store; passed on through MLflow's own variable, so that a password in it is
            never a flow parameter.
        output: Prefect keeps task results beside ours, so that both can be moved or deleted together.
        offline: nothing has to come from a model hub.
    """
    settings = dict(_ALWAYS)
    if not debug:
        settings |= _QUIET
        quieten()
    if offline:
        settings["HF_HUB_OFFLINE"] = "1"
    settings["PREFECT_LOCAL_STORAGE_PATH"] = str((output / ".cache" / "prefect").absolute())
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    if tracking_uri is not None:
        os.environ["MLFLOW_TRACKING_URI"] = tracking_uri
    never_proxy_loopback()


def never_proxy_loopback() -> None:
    """Reach servers of this machine directly, whatever proxy is set: no other machine knows what its loopback address means."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join([*hosts, *(host for host in _LOOPBACK if host not in hosts)])


def is_folder_or_registered(model: str) -> bool:
    """Whether a model reference needs no model hub; what is wrong with it is said where it is parsed."""
    try:
        return model.startswith("models:") or Path(model).exists()
    except (OSError, ValueError):
        return False


def check_working_directory() -> None:
    """Raise InputError when the directory that the process works in has been deleted."""
    from components.common.errors import InputError

    try:
        Path.cwd()
    except OSError as error:
        raise InputError("The working directory does not exist any more.", next_step="cd to another one") from error


def quieten() -> None:
    """Keep warnings and the talkative loggers' lines below errors from this process's output."""
    warnings.simplefilter("ignore")
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("calig").setLevel(logging.WARNING)  # our own lines are few, and each is worth reading
    # Great Expectations sets this logger's level itself when it is imported; a filter outlives that.
    logging.getLogger("great_expectations.data_context.types.base").addFilter(lambda line: line.levelno >= logging.ERROR)

"""The frame of every command: the options that all have, a prepared process, and an exit code for whatever ends it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.exit_codes import exit_with
from flows.common.process import DEFAULT_OUTPUT


class CommandGroup(StrEnum):
    """Groups of commands, as `calig --help` shows them."""

    EXPLAIN = "Explain and judge"
    EVIDENCE = "Evidence and sign-off"
    UNATTENDED = "Unattended"
    SETTINGS = "Keys and settings"


TrackingOption = Annotated[
    str | None, typer.Option(help="MLflow tracking server or store. Default: MLFLOW_TRACKING_URI, else MLflow's own default.")
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks and the logs and warnings of all libraries.")]
ConfigOption = Annotated[Path | None, typer.Option(help="YAML file with settings; see `calig config show`.")]


_TRACKING = inspect.Parameter("tracking_uri", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=TrackingOption)
_DEBUG = inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=DebugOption)


def command(
    *, results_in: Callable[[dict[str, Any]], Path] | None = None, uses_registry: bool = True, uses_hub: bool = False
) -> Callable[[Callable[..., int]], Callable[..., None]]:
    """Turn a function that returns an exit code into a command with the options --tracking-uri and --debug.

    The function itself is given --debug or --tracking-uri only when it has a parameter of that name.

    Args:
        results_in: folder of results, from the command's options; default: its option `output`, else the default folder.
        uses_registry: whether the command has --tracking-uri.
        uses_hub: whether the argument `model` may name a model on a hub; all other commands work offline.
    """

    def frame(function: Callable[..., int]) -> Callable[..., None]:
        signature = inspect.signature(function, eval_str=True)
        own = signature.parameters
        shared = [parameter for parameter in (_TRACKING, _DEBUG) if uses_registry or parameter is _DEBUG]

        @wraps(function)
        def framed(**options: Any) -> None:
            from flows.common.process import is_folder_or_registered, prepare

            prepare(
                debug=options["debug"],
                tracking_uri=options.get("tracking_uri"),
                output=options.get("output", DEFAULT_OUTPUT) if results_in is None else results_in(options),
                offline=not uses_hub or is_folder_or_registered(options["model"]),
            )
            exit_with(lambda: function(**{name: options[name] for name in own}), debug=options["debug"])

        parameters = [*own.values(), *(parameter for parameter in shared if parameter.name not in own)]
        framed.__signature__ = signature.replace(parameters=parameters, return_annotation=None)  # type: ignore[attr-defined]
        return framed

    return frame

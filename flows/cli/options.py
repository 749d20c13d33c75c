"""Options that several commands share, the default folder for results, and the groups of commands."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_OUTPUT = Path("calig-runs")


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

"""Options that several commands have, and where results go when nobody says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_OUTPUT = Path("calig-runs")

TrackingOption = Annotated[
    str | None, typer.Option(help="MLflow tracking server or store. Default: MLFLOW_TRACKING_URI, else MLflow's own default.")
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks and the logs and warnings of all libraries.")]

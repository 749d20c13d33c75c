"""The installed distribution: checks that its packages are the ones that Python finds, then starts what it offers to others.

Three of its packages have everyday names: `components`, `flows`, `schemas`. A folder of such a name that Python finds first,
because it is in the working directory or on PYTHONPATH, hides them. Nobody else has a package `calig`: everything begins here.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

#: Where the packages of this installation are.
HOME = Path(__file__).resolve().parents[1]
_HIDEABLE = ("components", "flows", "schemas")
_OFFERED = "calig.offered"
#: What to do when a library of the pipeline is missing.
PIPELINE_STEP = "pip install 'calig[pipeline]'"


class InstallationError(ImportError):
    """Something hides a package of calig, or a library that it needs is not installed."""


def check_packages() -> None:
    """Raise InstallationError, naming the intruder, when Python would import another package of the name of one of calig's."""
    for name in _HIDEABLE:
        spec = find_spec(name)
        found = None if spec is None or spec.origin is None else Path(spec.origin).resolve().parent
        if found is None:
            raise InstallationError(f"The package {name} of calig is missing in {HOME}.\nnext: install calig again")
        if found != HOME / name:
            raise _hidden(found)


def check_folder(folder: str | Path) -> None:
    """Raise InstallationError when flows that work in `folder` would import a package there in place of one of calig's.

    Prefect puts a run's working directory before all else. `deploy/prefect.yaml` names this function as a step of every run.
    """
    folder = Path(folder).resolve()
    for name in _HIDEABLE:
        if folder != HOME and (folder / name / "__init__.py").exists():
            raise _hidden(folder / name)


def start_command_line() -> None:
    """Run the command `calig`: the entry point of its script."""
    try:
        check_packages()
        run = _load("command-line")
    except InstallationError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    run()


def __getattr__(name: str) -> Any:
    """`CaligEvaluator`, which MLflow looks up here; it shows the message of an ImportError as a warning."""
    if name != "CaligEvaluator":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    check_packages()
    return _load("mlflow-evaluator")


def _load(name: str) -> Any:
    """What the distribution offers under `name`: pyproject.toml says where it is, so that nothing here imports the pipeline."""
    try:
        (offered,) = distribution("calig").entry_points.select(group=_OFFERED, name=name)
        return offered.load()
    except PackageNotFoundError as error:
        raise InstallationError(
            "calig is not installed, only imported.\nnext: python -m flows.cli, or pip install -e ."
        ) from error
    except ModuleNotFoundError as error:
        raise InstallationError(f"The library {error.name} is not installed.\nnext: {PIPELINE_STEP}") from error


def _hidden(intruder: Path) -> InstallationError:
    return InstallationError(
        f"{intruder} hides calig's package of that name.\n"
        f"next: take {intruder.parent} off PYTHONPATH, work in another folder, or start a script beside it by python -P"
    )

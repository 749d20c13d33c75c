"""What the installation lacks, or what hides it, as errors that a user reads."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from calig.installation import HOME, PIPELINE_STEP, InstallationError, check_folder
from components.common.errors import InputError

__all__ = ["HOME", "from_missing", "require_free_of_intruders"]


def from_missing(error: ModuleNotFoundError) -> Exception:
    """A library that is not installed, as an error of ours; a module that is missing in an installed one stays what it is."""
    library = (error.name or "").partition(".")[0]
    if not library or find_spec(library) is not None:
        return error
    return InputError(f"The library {library} is not installed.", next_step=PIPELINE_STEP).with_traceback(error.__traceback__)


def require_free_of_intruders(folder: Path) -> None:
    """Refuse a working directory of flows that has packages of the names of calig's."""
    try:
        check_folder(folder)
    except InstallationError as error:
        problem, _, _ = str(error).partition("\n")
        raise InputError(problem, next_step="set CALIG_HOME to a folder for the runs, without such folders in it") from error

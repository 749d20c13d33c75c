"""Read the rows of a data file as plain Python values, whatever its format."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from pathlib import Path

from components.common.errors import InputError
from components.datasets.limits import Budget, Limits
from components.datasets.tables import read_parquet, read_saved_dataset
from components.datasets.text_files import read_csv, read_jsonl
from components.datasets.values import Rows

FORMATS = ".csv, .csv.gz, .jsonl, .jsonl.gz, .parquet, or a folder written by datasets.save_to_disk"

Reader = Callable[[Path, int | None, Budget], Rows]

_READERS: dict[str, Reader] = {
    ".csv": read_csv,
    ".csv.gz": read_csv,
    ".jsonl": read_jsonl,
    ".jsonl.gz": read_jsonl,
    ".parquet": read_parquet,
}


def bare_name(path: Path) -> str:
    """The name of the file or folder without the endings that tell its format."""
    return re.sub(r"(?i)(\.csv|\.jsonl|\.parquet)(\.gz)?$", "", path.name)


def read_rows(path: Path, limit: int | None, limits: Limits) -> Rows:
    """The first `limit` rows (None: all) of the file or folder at `path`; no more of it is read than they need.

    Raises:
        InputError: missing, of an unknown format, broken (with the line, for CSV and JSON Lines), or beyond `limits`.
    """
    if not path.exists():
        raise InputError("The data set does not exist.", got=path, allowed=FORMATS)
    budget = Budget(limits)
    if path.is_dir():
        return _mapped(read_saved_dataset, path, limit, budget)
    if not path.is_file():
        raise InputError("The data set is not a regular file.", got=path, allowed=FORMATS)
    for ending, read in _READERS.items():
        if path.name.lower().endswith(ending):
            return _mapped(read, path, limit, budget)
    raise InputError("The data set's format is not supported.", got=path.name, allowed=FORMATS)


def _mapped(read: Reader, path: Path, limit: int | None, budget: Budget) -> Rows:
    try:
        return read(path, limit, budget)
    except UnicodeDecodeError as error:
        raise InputError("The file is not UTF-8 text.", got=f"{path.name}: {error}", next_step="save it as UTF-8") from error
    except (OSError, EOFError, ValueError, KeyError, NotImplementedError, zlib.error) as error:  # gzip's and Arrow's own
        raise InputError("The file cannot be read.", got=f"{path.name}: {error}", allowed=FORMATS) from error

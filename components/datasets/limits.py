"""Limits on what is read of a data file: a small compressed file can stand for more than the memory holds."""

from __future__ import annotations

import os
from dataclasses import dataclass

from components.common.errors import InputError

#: Whoever runs the process sets them, not whoever names the data set: so they are no settings of a run.
MEGABYTES_VARIABLE, ROWS_VARIABLE = "CALIG_DATA_MEGABYTES", "CALIG_DATA_ROWS"

_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Largest sizes that are read: data in bytes after decompression, a line or value in bytes, rows, columns, nesting depth."""

    data_bytes: int = 4096 * _MIB
    value_bytes: int = 32 * _MIB
    rows: int = 5_000_000
    columns: int = 1000
    depth: int = 32

    @classmethod
    def from_environment(cls) -> Limits:
        """The defaults, with what the environment says of megabytes and rows.

        Raises:
            InputError: a variable is no whole number above 0.
        """
        megabytes = _whole_number(MEGABYTES_VARIABLE, cls.data_bytes // _MIB)
        return cls(data_bytes=megabytes * _MIB, rows=_whole_number(ROWS_VARIABLE, cls.rows))


class Budget:
    """Counts what was read of one data file; raises InputError beyond the limits."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._bytes = self._rows = 0

    def add_bytes(self, n: int) -> None:
        """`n` more bytes were read, after decompression."""
        self._bytes += n
        if self._bytes > self.limits.data_bytes:
            step = f"split the data, name --limit, or set {MEGABYTES_VARIABLE}"
            raise _beyond("The data set is too large.", f"{self.limits.data_bytes / _MIB:g} MiB after decompression", step)

    def add_row(self) -> None:
        """One more row was read."""
        self._rows += 1
        if self._rows > self.limits.rows:
            step = f"split the data, name --limit, or set {ROWS_VARIABLE}"
            raise _beyond("The data set has too many rows.", f"{self.limits.rows} rows", step)

    def check_value(self, n_bytes: int, where: str) -> None:
        """Refuse a line or value of more bytes than allowed."""
        if n_bytes > self.limits.value_bytes:
            problem = f"A line or value of the data set is too long: {where}."
            raise _beyond(problem, f"{self.limits.value_bytes / _MIB:g} MiB", "is every row on a line of its own?")

    def check_columns(self, n: int) -> None:
        """Refuse more columns than allowed, over all rows."""
        if n > self.limits.columns:
            step = "keep the columns that are needed; is something other than a column's name used as a key?"
            raise _beyond("The data set has too many columns.", f"{self.limits.columns} columns", step)


def _whole_number(variable: str, default: int) -> int:
    value = os.environ.get(variable, "").strip()
    if not value:
        return default
    if not (value.isascii() and value.isdigit() and 0 < len(value) < 10 and int(value) > 0):
        raise InputError(f"{variable} is not a whole number above 0", got=value)
    return int(value)


def _beyond(problem: str, allowed: str, next_step: str) -> InputError:
    return InputError(problem, allowed=allowed, next_step=next_step)

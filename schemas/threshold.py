"""Threshold: a limit that decides, with its source, date and author."""

from __future__ import annotations

from pydantic import Field

from schemas.base import Record, Severity


class Threshold(Record):
    """A limit with its birth certificate: where it comes from, from how much data, when, set by whom."""

    name: str
    limit: float
    direction: str = Field(description="'above fires' or 'below fires'")
    severity: Severity
    source: str
    n_null: int | None = Field(default=None, description="pairs the null was measured on")
    date: str
    set_by: str

    @classmethod
    def configured(
        cls,
        settings: Record,
        setting: str,
        *,
        name: str,
        direction: str,
        severity: Severity,
        source: str,
        date: str,
        n_null: int | None = None,
    ) -> Threshold:
        """A limit as `settings` have it: `source` and `n_null` are those of the default, and say nothing of another value."""
        limit = float(getattr(settings, setting))
        default = limit == float(type(settings).model_fields[setting].default)
        return cls(
            name=name,
            limit=limit,
            direction=direction,
            severity=severity,
            source=source if default else "set in the configuration",
            n_null=n_null if default else None,
            date=date,
            set_by="calig's defaults" if default else "the configuration file",
        )

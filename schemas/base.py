"""Base of all records: frozen, closed to unknown fields, finite numbers only, canonical JSON and its digest.

And what most of them hold: verdicts, severities, intervals, limits.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from functools import singledispatch
from typing import Annotated

import rfc8785
from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """A frozen record: unknown fields are errors, NaN and infinity are refused in JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants", protected_namespaces=())

    def canonical(self) -> bytes:
        """The canonical JSON form (RFC 8785): sorted keys, no spaces, shortest numbers, UTF-8. ValueError for NaN, infinity."""
        return rfc8785.dumps(self.model_dump(mode="json"))

    def content_digest(self) -> str:
        """SHA-256 of the canonical form, in hex: of a record's file, what `sha256sum` says."""
        return hashlib.sha256(self.canonical()).hexdigest()

    def _repr_html_(self) -> str | None:
        """How notebooks show it: as its kind was registered with `notebook_html`, else as plain text."""
        return notebook_html(self)


@singledispatch
def notebook_html(_record: object) -> str | None:
    """HTML of a record, by its kind. Components register theirs: the contracts hold no HTML."""
    return None


def without_empty_sections(kind: type[BaseModel], content: object) -> object:
    """What was read for a record of this kind, without its empty sections: their defaults hold.

    In YAML a section under which everything is a comment is None.
    """
    if not isinstance(content, dict):
        return content
    annotations = {name: field.annotation for name, field in kind.model_fields.items()}
    sections = {name for name, kept in annotations.items() if isinstance(kept, type) and issubclass(kept, BaseModel)}
    return {name: value for name, value in content.items() if value is not None or name not in sections}


def digest_of(value: object) -> str:
    """Identity of settings and inputs: SHA-256 of `value` as sorted JSON in Python's own number format; no NaN, no infinity.

    Part of every fingerprint that was ever published, so its form stays as it is; documents are digested by `canonical`.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def one_spelling(name: str) -> str:
    """One spelling for names that records write in several ways: `|word shift|`, `word_shift`, `sign-flip rate`."""
    return name.replace("|", "").replace("_", " ").replace("-", " ").strip()


class Verdict(StrEnum):
    """Whether a version may ship. `inconclusive` means "could not be judged" and never counts as a pass."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class CheckVerdict(StrEnum):
    """The outcome of one check or one part: a verdict, or that it does not apply."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not_applicable"


class Direction(StrEnum):
    """Which way a metric is better; `report` metrics carry no judgement."""

    HIGHER = "higher is better"
    LOWER = "lower is better"
    REPORT = "report"


class Severity(StrEnum):
    """What a failed check does: `critical` fails the version, `warning` is shown and does not, `info` is noted."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


#: A Prefect deployment, as FLOW/DEPLOYMENT.
DeploymentName = Annotated[str, Field(pattern=r"^[^/]+/[^/]+$")]


class Interval(Record):
    """A confidence interval; `level` is its coverage, e.g. 0.95."""

    low: float
    high: float
    level: float = 0.95


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

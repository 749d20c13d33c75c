"""The templates' surroundings: number filters, our style and script, and the policy that lets in nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from components.report.drawing import numbers
from components.report.sections import summary

_FILTERS: tuple[Callable[..., Any], ...] = (
    *(numbers.plain, numbers.signed, numbers.percent, numbers.signed_percent, numbers.interval, numbers.count, numbers.cell),
    *(
        numbers.rows,
        numbers.residual,
        numbers.exact,
        numbers.probability,
        numbers.duration,
        numbers.gibibytes,
        numbers.observed,
        numbers.day,
        numbers.moment,
        summary.readable,
        summary.removal,
        summary.signed_points,
        zip,
    ),
)
#: In the order of their use of each other.
_SCRIPTS = ("dom", "numbers", "page", "blocks", "rows", "row", "heat", "flow", "grids", "detail", "listbox", "explorer")
_TEMPLATES = Path(__file__).parent / "templates"


def environment() -> Environment:
    """Templates that escape everything, with our filters, style and script."""
    made = Environment(
        loader=PackageLoader("components.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {function.__name__: function for function in _FILTERS}
    style = inlined("report.css") + inlined("examples.css")
    made.globals |= {"style": style, "script": script(), "csp_hash": _csp_hash}
    return made


def script() -> Markup:
    """Our scripts as one, in a scope of their own; each uses what the ones before it define."""
    parts = [inlined(f"scripts/{name}.js") for name in _SCRIPTS]
    return Markup('"use strict";\n(() => {\n') + Markup("\n").join(parts) + Markup("})();\n")


def inlined(name: str) -> Markup:
    """Our own style or script, as it stands between its tags; it holds no text of the record."""
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704


def _csp_hash(content: str) -> str:
    """The source expression that lets exactly this inline style or script through the page's content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

"""The report of one version: every section of `sections/` on one page; and the Jinja environment of this page and the trend's.

The page may load nothing: its content security policy admits its own style and script only.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from components.common.errors import CouldNotRunError
from components.report.choice import read_briefs
from components.report.drawing import charts, formats
from components.report.payload import embed
from components.report.sections import Material, all_sections
from components.table.units import without_side
from schemas.governance import GovernanceReport

#: Each uses what the ones before it define.
_SCRIPTS = ("dom", "numbers", "page", "blocks", "rows", "row", "heat", "flow", "grids", "detail", "listbox", "explorer")
_TEMPLATES = Path(__file__).parent / "templates"


def environment() -> Environment:
    """Templates that escape everything, with our filters, style and script."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {function.__name__: function for function in formats.FILTERS} | {"zip": zip, "without_side": without_side}
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


def write_text(page: str, path: Path) -> None:
    """Write `page` to `path`, making its folder.

    Raises:
        CouldNotRunError: the disk refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise CouldNotRunError(
            f"the report cannot be written to {path}", got=error, next_step="check the folder and its free space"
        ) from error


def _csp_hash(content: str) -> str:
    """The source expression that lets exactly this inline style or script through the page's content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def render(record: GovernanceReport, tables: list[Path], reference_tables: list[Path]) -> str:
    """The page as HTML; see `components.report.build`."""
    briefs = read_briefs(tables, reference_tables, record.drift)
    material = Material(record, tables, reference_tables, briefs, embed(record, briefs, tables, reference_tables))
    templates = environment()
    common = {"record": record, "units": material.units, "embedded": material.embedded, "size": charts.SIZE}
    shown = [
        (section, templates.get_template(section.template).render(common | dict(context)))
        for section in all_sections()
        if (context := section.context(material)) is not None
    ]
    return templates.get_template("page.html.j2").render(common, sections=shown)

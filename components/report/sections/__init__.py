"""The sections of the report: every module of this folder is one."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from components.report.section import Section


def all_sections() -> list[Section]:
    """Every section, in the order of the page."""
    found: list[Section] = [import_module(f"{__name__}.{module.name}").SECTION for module in iter_modules(__path__)]
    return sorted(found, key=lambda section: section.place)

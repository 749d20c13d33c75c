"""Every path and module of the project that the documentation names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(page for page in (*ROOT.glob("*.md"), *ROOT.glob("deploy/**/*.md")) if page.name != "CHANGELOG.md")
PATH = re.compile(r"(?<![\w/$.-])(?:(?:components|flows|schemas|tests)/[\w./-]*\w|deploy/[\w/-]+\.\w+|(?:[\w-]+/)*\w+\.py)\b")
FILES = frozenset(file.name for file in ROOT.glob("[!.]*/**/*.py"))
DOTTED = re.compile(r"\b(?:components|flows|schemas)(?:\.\w+)+|(?<=^::: )calig\S+", re.MULTILINE)


def exists(path: str) -> bool:
    """At this place, or, for a file that a page names without its folder, anywhere."""
    return (ROOT / path).exists() or path in FILES


def resolves(dotted: str) -> bool:
    """The leading names are a package or module, and the next one stands in its file."""
    place, names = ROOT, dotted.split(".")
    while names and (place / names[0]).is_dir():
        place /= names.pop(0)
    file = place / f"{names.pop(0)}.py" if names and (place / f"{names[0]}.py").is_file() else place / "__init__.py"
    return file.is_file() and (not names or re.search(rf"\b{names[0]}\b", file.read_text(encoding="utf-8")) is not None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [path for path in PATH.findall(text) if not exists(path)]
    missing += [name for name in DOTTED.findall(text) if not resolves(name)]
    assert missing == []

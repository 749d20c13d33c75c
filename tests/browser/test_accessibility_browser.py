"""What axe-core finds in our pages: nothing, in light and dark, on a desk and on a phone, with everything unfolded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.report import build, build_trend
from tests.helpers import sample_records
from tests.helpers.sample_history import history

pytestmark = pytest.mark.slow

#: Contrast on a gradient cannot be judged: the shadows at the edges of tables and the clear bar at the top are made flat.
_FLAT = ".scroll { background: var(--card) !important } nav.top { background: var(--bg) !important; backdrop-filter: none }"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {name: tmp_path_factory.mktemp(name) for name in ("first_release", "drifted", "pictures", "trend")}
    for part in ("drifted", "first"):
        (folders["trend"] / part).mkdir()
    build_trend("review-sentiment", history(folders["trend"], 8), path=folders["trend"] / "page.html")
    for name in ("first_release", "drifted", "pictures"):
        sample = getattr(sample_records, name)(folders[name])
        build(sample.record, sample.tables, sample.reference_tables, path=folders[name] / "page.html")
    return {name: folder / "page.html" for name, folder in folders.items()}


@pytest.mark.parametrize(
    ("name", "scheme", "width"),
    [
        *(("drifted", scheme, width) for scheme in ("light", "dark") for width in (400, 1280)),
        *((name, *view) for name in ("first_release", "pictures", "trend") for view in (("light", 1280), ("dark", 400))),
    ],
)
def test_axe_finds_nothing(visit: Callable[..., Any], pages: dict[str, Path], name: str, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = visit(pages[name], "#examples", width=width, scheme=scheme, bypass_csp=True)
    if page.locator("#explorer").count():
        page.locator(".detail h3").wait_for()
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    page.add_style_tag(content=_FLAT)
    found = axe.Axe().run(page, options={"resultTypes": ["violations", "incomplete", "passes"]}).response
    judged = {rule["id"]: len(rule["nodes"]) for rule in found["passes"]}
    assert judged["color-contrast"] > 100
    undecided = {node["html"].split()[0] for rule in found["incomplete"] for node in rule["nodes"]}
    assert undecided <= {"<text"}, "only the labels of charts, whose ground axe cannot see; their colours are judged elsewhere"
    assert [(rule["id"], [node["target"] for node in rule["nodes"]]) for rule in found["violations"]] == []

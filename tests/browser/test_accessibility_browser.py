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


@pytest.fixture(scope="module", params=["first_release", "drifted", "pictures", "trend"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "trend":
        for part in ("drifted", "first"):
            (folder / part).mkdir()
        build_trend("review-sentiment", history(folder, 8), path=folder / "page.html")
    else:
        sample = getattr(sample_records, request.param)(folder)
        build(sample.record, sample.tables, sample.reference_tables, path=folder / "page.html")
    return folder / "page.html"


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit: Callable[..., Any], path: Path, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = visit(path, "#examples", width=width, scheme=scheme)
    if page.locator("#explorer").count():
        page.locator(".detail h3").wait_for()
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    found = axe.Axe().run(page).response
    assert "color-contrast" in {rule["id"] for rule in found["passes"]}
    assert [(rule["id"], [node["target"] for node in rule["nodes"]]) for rule in found["violations"]] == []

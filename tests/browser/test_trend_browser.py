"""The trend page in a real browser: no errors, no requests, no sideways scrolling, from one version to fifty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.report import build_trend
from tests.helpers.sample_history import history

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("n", [1, 2, 8, 50])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_every_width_and_says_nothing_on_the_console(browser: Any, tmp_path: Path, n: int, scheme: str) -> None:
    for part in ("drifted", "first"):
        (tmp_path / part).mkdir()
    path = tmp_path / "trend.html"
    build_trend("review-sentiment", history(tmp_path, n), path=path)
    page, said, requested = browser.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))
    page.emulate_media(color_scheme=scheme)
    page.goto(path.as_uri())
    inside = "[...document.querySelectorAll('.trend-chart text')].every((t) => { const a = t.getBoundingClientRect(), "
    inside += "b = t.ownerSVGElement.getBoundingClientRect(); return a.left >= b.left - 1 && a.right <= b.right + 1; })"
    for width in (390, 800, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(inside), f"a text is cut off at {width} pixels"
    assert page.locator("table.trend tbody tr").count() == n
    assert page.locator("figure").count() == (2 if n == 1 else 4), "a first release has no drift to draw"
    page.close()
    assert said == []
    assert [url for url in requested if not url.startswith("data:")] == [path.as_uri()]

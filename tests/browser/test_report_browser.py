"""The report in a real browser: no errors, no requests, no sideways scrolling, and a filter that filters."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.report import build
from tests.helpers import sample_records

pytestmark = pytest.mark.slow

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if _CHROMIUM is None:
        pytest.skip("no Chromium on this machine: install Debian's chromium, or Chrome")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=_CHROMIUM, args=_FLAGS)
        yield instance
        instance.close()


@pytest.fixture(scope="module", params=["first_release", "drifted", "pictures"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    sample = getattr(sample_records, request.param)(folder)
    build(sample.record, sample.tables, sample.reference_tables, path=folder / "report.html")
    return folder / "report.html"


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Any]:
    """The open page; afterwards nothing may have been said on the console and nothing else requested."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    said: list[str] = []
    requested: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: requested.append(request.url))
    opened.goto(report.as_uri())
    yield opened
    opened.close()
    assert said == []
    assert [url for url in requested if not url.startswith("data:")] == [report.as_uri()]


@pytest.mark.parametrize("width", [390, 800, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_sideways_scrolling_with_everything_open(page: Any, width: int, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 844})
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_filter_by_text_class_and_flag(page: Any) -> None:
    cards, visible = page.locator("article.example"), page.locator("article.example:visible")
    total = cards.count()
    assert visible.count() == total > 0
    page.get_by_label("Search").fill("ROW-5")
    shown = [card.locator("h3").inner_text() for card in visible.all()]
    assert shown
    assert all("row-5" in name for name in shown)
    assert page.locator(".filter output").inner_text() == f"{len(shown)} of {total} shown"
    page.get_by_label("Search").fill("")
    page.get_by_label("Show").select_option("wrong")
    assert visible.count() == page.locator("article.example[data-flags~=wrong]").count() > 0
    page.get_by_label("Search").fill("nothing has this text")
    assert visible.count() == 0
    assert page.get_by_text("No example matches").is_visible()


def test_hovering_a_word_tells_its_value(page: Any) -> None:
    words = page.locator("article.example > .heat [data-v]")
    if words.count() == 0:
        pytest.skip("images have no words")
    page.emulate_media(reduced_motion="reduce")
    words.first.scroll_into_view_if_needed()
    page.wait_for_timeout(100)
    words.first.hover()
    text = page.locator("#tip").inner_text()
    assert words.first.get_attribute("data-v") in text
    assert "logits" in text
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()


def test_keyboard_opens_the_layers_of_an_example(page: Any) -> None:
    summary = page.locator("article.example summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator("article.example details[open]").count() == 1


def test_the_policy_blocks_what_a_review_could_smuggle_in(browser: Any, report: Path) -> None:
    opened = browser.new_page()
    opened.goto(report.as_uri())
    opened.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.smuggled=1\">')")
    opened.wait_for_timeout(100)
    assert opened.evaluate("window.smuggled") is None
    opened.close()

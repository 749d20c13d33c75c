"""The report in a real browser: no errors, no requests, no sideways scrolling, also without scripts and on paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.report import build
from tests.helpers import sample_records

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["first_release", "drifted", "pictures"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    sample = getattr(sample_records, request.param)(folder)
    build(sample.record, sample.tables, sample.reference_tables, path=folder / "report.html")
    return folder / "report.html"


@pytest.mark.parametrize("width", [390, 800, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_sideways_scrolling_with_everything_open(visit: Callable[..., Any], report: Path, width: int, scheme: str) -> None:
    page = visit(report, "#examples", width=width, scheme=scheme)
    page.locator(".detail h3").wait_for()
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (400, 850)])
def test_the_verdict_what_changed_and_what_to_do_are_on_one_screen(
    visit: Callable[..., Any], report: Path, width: int, height: int
) -> None:
    page = visit(report, width=width)
    page.set_viewport_size({"width": width, "height": height})
    # a grave warning stands before the verdict and may push the last of it below
    room = height if page.locator("aside.alert").count() == 0 else 1.6 * height
    for part in (".verdict h2", ".changes li", ".next p"):
        box = page.locator(part).first.bounding_box()
        assert box["y"] + box["height"] <= room, part


def test_without_scripts_the_examples_drawn_for_paper_are_there(browser: Any, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator(".printed article.example").first.is_visible()
    assert page.locator("#explorer").is_hidden()
    context.close()


def test_on_paper_the_drawn_examples_stand_in_for_the_list(visit: Callable[..., Any], report: Path) -> None:
    page = visit(report, "#examples")
    page.locator(".detail h3").wait_for()
    assert page.locator(".printed").is_hidden()
    page.emulate_media(media="print")
    assert page.locator(".printed article.example").first.is_visible()
    assert page.locator("#explorer").is_hidden()
    assert page.locator("nav.top").is_hidden()
    assert page.pdf(format="A4", print_background=True).count(b"/Type /Page\n") > 3


def test_the_policy_blocks_what_a_review_could_smuggle_in(browser: Any, report: Path) -> None:
    page = browser.new_page()
    page.goto(report.as_uri())
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.smuggled=1\">')")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.smuggled=2' }))")
    page.wait_for_timeout(100)
    assert page.evaluate("window.smuggled") is None
    page.close()

"""The list of all rows in a real browser: finds, sorts, compares, draws what the table says, and runs nothing of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.report import build
from components.report.drawing import formats
from tests.helpers import sample_records, sample_tables
from tests.helpers.sample_records import Sample

pytestmark = pytest.mark.slow

CJK = "这部电影非常精彩,演员出色 결말은 느리다 音楽も良い"
MIXED = "The title كان الفيلم رائعا was shown twice, שלום"
_HARD = [(text, "POS") for text in (sample_tables.MALICIOUS, sample_tables.ARABIC, sample_tables.SPACED, CJK, MIXED)]


@pytest.fixture(scope="module")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sample]:
    folder = tmp_path_factory.mktemp("drifted")
    sample = sample_records.drifted(folder)
    build(sample.record, sample.tables, sample.reference_tables, path=folder / "report.html")
    return folder / "report.html", sample


@pytest.fixture
def page(visit: Callable[..., Any], drifted: tuple[Path, Sample]) -> Any:
    opened = visit(drifted[0], "#examples")
    opened.locator(".detail h3").wait_for()
    return opened


def _found(page: Any) -> int:
    """How many rows the list says it shows, once it has said so."""
    page.locator(".filter output", has_text=re.compile("rows$")).wait_for()
    return int(page.locator(".filter output").inner_text().split()[0].replace(",", ""))


def _choose(page: Any, **wanted: str) -> int:
    for label, value in wanted.items():
        _forget(page)
        page.get_by_label(label.replace("_", " ")).select_option(value)
        _found(page)
    return _found(page)


def _search(page: Any, text: str) -> int:
    _forget(page)
    page.get_by_label("Search").fill(text)
    return _found(page)


def _forget(page: Any) -> None:
    """Empty the count, so that the next one is not taken for it."""
    page.locator(".filter output").evaluate("(output) => { output.textContent = ''; }")


def test_rows_are_found_by_word_id_class_segment_and_kind(page: Any, drifted: tuple[Path, Sample]) -> None:
    rows = pq.read_table(drifted[1].tables[0]).to_pylist()
    explained = [row for row in rows if row["problem"] is None]
    assert _found(page) == len(rows)
    assert _search(page, "BTW") == sum("btw" in (row["text"] or "") for row in rows)
    assert _search(page, "row-15") == 11  # row-15 and row-150 … row-159
    assert _search(page, "") == len(rows)
    assert _choose(page, Predicted_class="POS") == sum(row["predicted"] == "POS" for row in rows)
    audience = [row for row in explained if dict(row["segments"])["source"] == "audience"]
    assert _choose(page, Predicted_class="", Segment="[0,0]") == len(audience)
    assert _choose(page, Show="wrong") == sum(row["label"] != row["predicted"] for row in audience)
    assert _choose(page, Segment="", Show="changed") == drifted[1].record.drift.flipped
    assert _choose(page, Show="problem") == 1
    assert "the text is empty" in page.locator(".detail").inner_text()
    assert _search(page, "nothing has this text") == 0
    assert page.get_by_text("No row matches").is_visible()


@pytest.mark.parametrize(("order", "column"), [("residual", "residuals"), ("row", "row")])
def test_rows_are_sorted(page: Any, drifted: tuple[Path, Sample], order: str, column: str) -> None:
    rows = [row for row in pq.read_table(drifted[1].tables[0]).to_pylist() if row["problem"] is None]
    _choose(page, Order=order)
    shown = [option.inner_text() for option in page.locator(".list .id").all()][:5]
    by = sorted(rows, key=lambda row: -max(row["residuals"]) if column == "residuals" else row["row"])
    assert shown == [row["id"] for row in by[:5]]


def test_the_worst_drift_comes_first_and_is_compared_side_by_side(page: Any) -> None:
    _choose(page, Order="drift")
    text = page.locator(".detail").inner_text()
    assert "Reference, version 3, toward" in text
    assert "Candidate, version 4, toward" in text
    assert "btw" in page.locator(".detail .most").inner_text()
    moved = []
    for _ in range(3):
        moved.append(float(page.locator(".detail .sums").first.inner_text().split("reasons moved ")[1].split("\u202f")[0]))
        page.locator(".list").press("ArrowDown")
        page.wait_for_timeout(50)
    assert moved == sorted(moved, reverse=True)
    assert moved[0] > 50


def test_the_list_is_moved_by_keyboard_and_draws_only_what_is_seen(page: Any) -> None:
    box = page.locator(".list")
    box.focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for key, place in (("End", 161), ("ArrowUp", 160), ("Home", 1), ("ArrowDown", 2), ("PageDown", None)):
        box.press(key)
        page.wait_for_timeout(60)
        chosen = page.locator(f"#{box.get_attribute('aria-activedescendant')}")
        assert chosen.get_attribute("aria-selected") == "true"
        assert chosen.get_attribute("aria-setsize") == "161"
        assert place is None or chosen.get_attribute("aria-posinset") == str(place)
        assert chosen.locator(".id").inner_text() == page.locator(".detail h3").inner_text()
        assert page.locator("[role=option]").count() < 40


def test_an_address_leads_to_a_row_or_a_search(visit: Callable[..., Any], drifted: tuple[Path, Sample]) -> None:
    page = visit(drifted[0], "#row=row-77")
    page.locator(".detail h3", has_text="row-77").wait_for()
    page.locator("#drift a.word").first.click()
    page.locator(".filter output", has_text="41 of 161 rows").wait_for()
    assert page.get_by_label("Search").input_value() == "btw"
    page.goto(f"{drifted[0].as_uri()}#row=gone")
    page.get_by_text("no row gone in this page").wait_for()


def test_numbers_on_the_words_and_layers_are_the_table_s(visit: Callable[..., Any], drifted: tuple[Path, Sample]) -> None:
    row = next(row for row in pq.read_table(drifted[1].tables[0]).to_pylist() if row["id"] == "row-40")
    page = visit(drifted[0], "#row=row-40")
    page.locator(".detail h3", has_text="row-40").wait_for()
    words = page.locator(".detail .versions > div").nth(1).locator("[data-v]")
    assert [word.inner_text() for word in words.all()] == [word["text"] for word in row["words"]]
    assert [word.get_attribute("data-v") for word in words.all()] == [formats.signed(word["value"]) for word in row["words"]]
    lines = page.locator(".detail .flow tbody tr")
    for line, word in ((0, 1), (3, 4)):  # token 0 is special
        shown = [
            float(c.replace("−", "-").replace("·", "0"))
            for c in lines.nth(line).locator("td").all_inner_texts()[: sample_tables.LAYERS]
        ]
        largest = max(max(map(abs, layer)) for layer in row["layers"])
        assert shown == pytest.approx([layer[word] for layer in row["layers"]], abs=0.006 + largest / 254)
    words.first.hover()
    assert "logits" in page.locator("#tip").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()


def test_every_script_and_direction_is_drawn_to_the_character_and_nothing_of_it_runs(
    visit: Callable[..., Any], tmp_path: Path
) -> None:
    sample = sample_records.first_release(tmp_path)
    table = sample_tables.text_table(tmp_path / "hard.parquet", _HARD, seed=1, boost={})
    build(sample.record, [table], None, path=tmp_path / "hard.html")
    page = visit(tmp_path / "hard.html", "#examples")
    for i, (text, _) in enumerate(_HARD):
        page.evaluate(f"location.hash = '#row=row-{i}'")
        page.locator(".detail h3", has_text=f"row-{i}").wait_for()
        heat = page.locator(".detail .heat")
        assert heat.evaluate("(element) => element.textContent") == text
        assert heat.evaluate("(element) => getComputedStyle(element).direction") == (
            "rtl" if text == sample_tables.ARABIC else "ltr"
        )
    assert page.locator(".detail img, .detail script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_pictures_are_drawn_with_their_relevance(visit: Callable[..., Any], tmp_path: Path) -> None:
    sample = sample_records.pictures(tmp_path)
    build(sample.record, sample.tables, sample.reference_tables, path=tmp_path / "report.html")
    page = visit(tmp_path / "report.html", "#row=row-3")
    page.locator(".detail h3", has_text="row-3").wait_for()
    assert page.locator(".detail .pictures img").first.evaluate("(image) => image.naturalWidth") == 192
    assert page.locator(".detail .small canvas").count() == sample_tables.LAYERS
    overlay = page.locator(".detail .stack canvas").first
    assert "Strongest: row" in overlay.get_attribute("aria-label")
    values = [
        v
        for v, content in zip(*(pq.read_table(sample.tables[0])[c][3].as_py() for c in ("values", "content")), strict=True)
        if content
    ]
    strongest = max(range(len(values)), key=lambda i: abs(values[i]))
    pixel = overlay.evaluate(f"(c) => [...c.getContext('2d').getImageData({strongest % 14}, {strongest // 14}, 1, 1).data]")
    assert pixel == pytest.approx([0, 94, 190, 215] if values[strongest] > 0 else [222, 106, 0, 215], abs=2)

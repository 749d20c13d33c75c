"""Size of the report and how soon it answers in Chromium as rows grow. `make bench-report`."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from os import getloadavg
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from components.report import build
from tests.benchmarks.machine import describe
from tests.helpers import sample_records, sample_tables
from tests.helpers.sample_records import Sample

RESULTS = Path(__file__).parent / "results" / "report.json"
LAYERS = 12
_REPEATS = 5
#: What is measured in milliseconds since the navigation began, or since the action.
FIGURES = ("first_paint", "parsed", "row", "first_search", "search", "sort", "longest_frame_scrolling")

SizesOption = Annotated[list[int] | None, typer.Option(help="Numbers of rows. Default: 100, 1000, 10000.")]


def bench(*, sizes: SizesOption = None, output: Path = RESULTS) -> None:
    """Build reports of more and more rows, open each several times; write JSON and print a table of medians."""
    with Console().status("measuring …"):
        measured = [measure(n) for n in sizes or (100, 1000, 10_000)]
    report = {"machine": describe(), "load": round(getloadavg()[0], 1), "layers": LAYERS, "repeats": _REPEATS, "cases": measured}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    Console().print(table(measured))


def measure(n: int) -> dict[str, Any]:
    """Seconds to build, megabytes, and milliseconds in the browser: medians."""
    with TemporaryDirectory() as folder:
        sample = _sample(Path(folder), n)
        path = Path(folder) / "report.html"
        started = perf_counter()
        build(sample.record, sample.tables, sample.reference_tables, path=path)
        case: dict[str, Any] = {"rows": n, "build_seconds": perf_counter() - started, "megabytes": path.stat().st_size / 1e6}
        with _browser() as browser:
            visits = [_visit(browser, path, f"row-{n - 1}") for _ in range(_REPEATS)]
        return case | {name: median(visit[name] for visit in visits) for name in visits[0]}


def table(measured: list[dict[str, Any]]) -> Table:
    """The measurements to read at a glance."""
    result = Table("rows", "build, s", "file, MB", *(f"{name.replace('_', ' ')}, ms" for name in FIGURES), "memory, MB")
    for case in measured:
        figures = (f"{case['build_seconds']:.1f}", f"{case['megabytes']:.2f}", *(f"{case[name]:.0f}" for name in FIGURES))
        result.add_row(str(case["rows"]), *figures, f"{case['heap_megabytes']:.1f}")
    return result


def _sample(folder: Path, n: int) -> Sample:
    """A drifted version of `n` rows, two reviews each (about 30 words), through `LAYERS` layers, and its reference."""
    few = sample_records.drifted(folder, n=60)
    reviews = sample_tables.reviews(2 * n, 1, planted="btw")
    rows = [(f"{a} {b}", label) for (a, label), (b, _) in zip(reviews[:n], reviews[n:], strict=True)]
    tables = [
        sample_tables.text_table(folder / f"{name}.parquet", rows, seed=seed, boost=boost, flips=bool(boost), layers=LAYERS)
        for name, seed, boost in (("candidate", 3, {"btw": 3.2}), ("reference", 2, {}))
    ]
    return Sample(few.record, tables[:1], tables[1:])


def _visit(browser: Any, path: Path, last: str) -> dict[str, float]:
    """One cold visit, straight to the last row of the list, then two searches, a sort, and a scroll through all of it."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(_WATCH)
    page.goto(f"{path.as_uri()}#row={last}")
    page.locator(".detail h3", has_text=re.compile(f"^{last}$")).wait_for()
    found = page.evaluate("""() => ({
        first_paint: performance.getEntriesByName('first-contentful-paint')[0].startTime,
        parsed: performance.getEntriesByType('navigation')[0].domInteractive,
        row: window.drawn,
    })""")
    found["first_search"] = page.evaluate(_TIMED, ["text", "neighbour"])
    found["search"] = page.evaluate(_TIMED, ["text", "asleep"])
    found["sort"] = page.evaluate(_TIMED, ["order", "drift"])
    found["longest_frame_scrolling"] = page.evaluate(_SCROLL)
    found["heap_megabytes"] = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
    page.close()
    return dict(found)


#: Notes when the chosen row is drawn for the first time.
_WATCH = """addEventListener('DOMContentLoaded', () => {
    new MutationObserver(() => { window.drawn ??= document.querySelector('.detail h3') ? performance.now() : undefined; })
        .observe(document.body, { childList: true, subtree: true });
});"""

#: Sets a field of the form and waits until the list says how many rows there are, less the pause before a search begins.
_TIMED = """async ([name, value]) => {
    const form = document.querySelector('.filter'), output = form.querySelector('output'), pause = 120;
    form.elements[name].value = value;
    const started = performance.now();
    output.textContent = '';
    form.dispatchEvent(new Event('input', { bubbles: true }));
    while (!/rows/.test(output.textContent)) await new Promise((next) => setTimeout(next, 1));
    await new Promise(requestAnimationFrame);
    return performance.now() - started - pause;
}"""

#: The longest time between two frames while the list is scrolled from end to end in 60 steps.
_SCROLL = """async () => {
    const form = document.querySelector('.filter'), box = document.querySelector('.list');
    form.elements.text.value = '';
    form.dispatchEvent(new Event('input', { bubbles: true }));
    await new Promise((next) => setTimeout(next, 800));
    let longest = 0, before = performance.now();
    for (let step = 0; step <= 60; step++) {
        box.scrollTop = step / 60 * box.scrollHeight;
        await new Promise(requestAnimationFrame);
        longest = Math.max(longest, performance.now() - before);
        before = performance.now();
    }
    return longest;
}"""


@contextmanager
def _browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"]
        )
        yield browser
        browser.close()


if __name__ == "__main__":
    typer.run(bench)

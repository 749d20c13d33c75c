"""A data set made to act: scripts, markup, formulas, escape sequences, directions, NUL, a word of a megabyte. It stays text."""

from __future__ import annotations

import io
import json
import re
import shutil
import unicodedata
from pathlib import Path

import pytest
from rich.console import Console

from components import alerts, registry, report
from flows.cli import outcome as shown
from flows.cli.output import Terminal, safe
from flows.explain_release import explain_release
from schemas.base import CheckVerdict
from schemas.config import AttributionConfig, DriftConfig, PipelineConfig, ProbeConfig, QualityConfig
from tests.helpers.tiny_models import WORDS, save_tiny_bert

HOSTILE = (
    "<script>document.title='ran'</script> fine",
    "<img src=x onerror=\"document.title='ran'\"> good",
    "{{ 7*7 }} {% include '/etc/passwd' %} ${7*7} dull",
    '=HYPERLINK("http://evil.example","x") +1 @SUM(A1) good',
    "[bold red]not markup[/] [link=http://evil.example]x[/link] bad",
    "![x](http://evil.example/t.png) **bold** <!-- calig:end --> @channel <!channel> fine",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J warm",
    "\u202eevil\u202c \u2066x\u2069 \u200b funny",
    "nul \x00 inside \x08\x7f weak",
    "]]> </title></style></script><script>document.title='ran'</script> awful",
    "😀 \u0928\u093f 漢字 \ufffd e\u0301 moving",
    "x" * 1_000_000,
)
SETTINGS = PipelineConfig(
    attribution=AttributionConfig(shard_rows=30),
    drift=DriftConfig(word_shift=1e-4, word_shift_z=1e-4, false_discovery_rate=0.99, numerics_rows=0, worst_examples=60),
    quality=QualityConfig(falsification_rows=0),
    probe=ProbeConfig(max_words=80, contexts=4),
)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Each hostile text in several rows, with known words around, so that its words become findings."""
    path = tmp_path / "=cmd hostile <b>.jsonl"
    rows = [
        {
            "id": f"<i>{n}</i>\x1b[5m{n}",
            "text": f"{HOSTILE[n % len(HOSTILE)]} {WORDS[n % len(WORDS)]} film",
            "segment": "<u>x</u>",
        }
        for n in range(5 * len(HOSTILE))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def outcome(model, hostile, tiny_registry, tmp_path):
    name = model.split("/")[1]
    second = tiny_registry.register(save_tiny_bert(tmp_path / "second", seed=3), name)
    registry.set_alias(name, "champion", "1")
    explain_release(model, hostile, config=SETTINGS, output=tmp_path / "runs")
    return explain_release(f"models:/{name}/{second}", hostile, config=SETTINGS, output=tmp_path / "runs")


@pytest.mark.slow
def test_a_hostile_data_set_stays_text_everywhere(outcome, tiny_registry, monkeypatch, tmp_path):
    record = outcome.record
    assert record.drift.verdict is CheckVerdict.FAIL, "hostile words are findings here"
    assert record.data.n_explained == 5 * len(HOSTILE)

    printed = io.StringIO()
    monkeypatch.setattr(shown, "Terminal", lambda: Terminal(file=printed, force_terminal=False, width=200))
    shown.show(outcome, as_json=False)
    assert _acting(printed.getvalue()) == set()

    import mlflow

    version = mlflow.MlflowClient().get_model_version(record.model.name, record.model.version)
    description = version.description.replace("<!-- calig:begin -->", "").replace("<!-- calig:end -->", "")
    assert "<" not in description
    assert "](http://evil" not in description
    message = alerts.message_of(record, link="x")
    text = alerts.text_of(message)
    assert "<" not in text
    assert _acting(text) == set()
    _look_at(outcome.folder / "report.html")


def _acting(text: str) -> set[str]:
    return {char for char in text if unicodedata.category(char) in {"Cc", "Cf"} and char not in "\n\u200b\u200d"}


def _look_at(page: Path) -> None:
    """In a real browser, where there is one: nothing runs, nothing is requested, and the texts are there to read."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        return
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        opened = instance.new_page()
        said: list[str] = []
        requested: list[str] = []
        opened.on("console", lambda message: said.append(message.text))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.on("dialog", lambda dialog: said.append(dialog.message))
        opened.on("request", lambda request: requested.append(request.url))
        opened.goto(page.as_uri())
        opened.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert opened.title() != "ran"
        assert opened.locator("script").count() >= 1
        assert "onerror" in opened.content()
        assert opened.locator("img[onerror]").count() == 0
        instance.close()
    assert said == []
    assert [url for url in requested if not url.startswith("data:") and not re.match(r"file://.*report\.html$", url)] == []


def test_nothing_acts_in_a_terminal():
    for text in HOSTILE:
        assert _acting(safe(text)) == set()
    console = Console(file=io.StringIO(), force_terminal=True, width=300)
    console.print(safe(HOSTILE[4]), highlight=False)
    assert console.file.getvalue().strip() == HOSTILE[4]


def test_a_report_is_made_by_templates_that_escape():
    from components.report.page import environment

    assert environment().autoescape is True
    assert report.build is not None

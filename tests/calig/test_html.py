"""An attribution in a notebook: signs, escaping, scripts from right to left, very long texts, images, plots."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from calig import Attribution, AttributionError, Word, explain
from calig.html import OPPOSES, SUPPORTS, colour


class Reader(HTMLParser):
    """Checks that tags are balanced and keeps text and attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text, self.spans = "", []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "span" and "title" in dict(attrs):
            self.spans.append(dict(attrs))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def words_of(*given: tuple[str, float]) -> list[Word]:
    words, at = [], 0
    for text, value in given:
        words.append(Word(text, at, at + len(text), value))
        at += len(text) + 1
    return words


@pytest.fixture(scope="module")
def result(bert) -> Attribution:
    model, tokenizer = bert
    return explain(model, tokenizer, "a great film !")[0]


def with_words(result: Attribution, *given: tuple[str, float]) -> Attribution:
    words = words_of(*given)
    spans = [(w.start, w.end) for w in words]
    layers = np.array([[w.value / 2 for w in words]] * 2)
    return replace(
        result, words=words, starts=[s for s, _ in spans], ends=[e for _, e in spans],
        layers=layers, values=layers.sum(axis=0), tokens=[w.text for w in words],
    )  # fmt: skip


def test_signs_have_the_reports_colours_and_values(result):
    page = Reader(with_words(result, ("good", 2.0), ("bad", -1.0), ("the", 0.01))._repr_html_())
    good, bad, the = page.spans
    assert f"rgb({SUPPORTS} / 0.64)" in good["style"]
    assert f"rgb({OPPOSES} / 0.32)" in bad["style"]
    assert "dotted" in bad["style"]
    assert the["style"] == ""
    assert [span["title"] for span in page.spans] == ["+2.00 logits", "-1.00 logits", "+0.01 logits"]


def test_the_palette_is_the_reports():
    from pathlib import Path

    import components

    sheet = (Path(components.__file__).parent / "report" / "templates" / "report.css").read_text(encoding="utf-8")
    assert f"--supports: {SUPPORTS};" in sheet
    assert f"--opposes: {OPPOSES};" in sheet


def test_both_themes_show_it(result):
    """Letters keep the notebook's colour, every ground lets the notebook's own show through."""
    html = result._repr_html_()
    assert set(re.findall(r"(?<![\w-])color:([^;\"]+)", html)) == {"inherit"}  # tables would not inherit everywhere by themselves
    assert all("/" in ground for ground in re.findall(r"background:([^;\"]+)", html))


def test_everything_a_text_or_model_says_is_escaped(result):
    evil = "<script>alert(1)</script>\"'&"
    html = replace(with_words(result, (evil, 1.0)), target=evil, predicted=evil)._repr_html_()
    assert "<script" not in html
    assert Reader(html).text.count(evil) == 4  # prediction, target, word, and its line in the layers


def test_right_to_left_and_ideographs(result):
    page = with_words(result, ("سيئ", -1.0), ("فيلم", 1.0))._repr_html_()
    assert '<div dir="auto"' in page
    assert "unicode-bidi:isolate" in page
    joined = replace(with_words(result, ("好", 1.0)), words=[Word("好", 0, 1, 1.0), Word("影", 1, 2, -1.0)])
    assert "好影" in Reader(joined._repr_html_()).text  # nothing between them in the text, nothing between them here


def test_a_very_long_text_stays_small_and_says_what_is_left_out(result):
    html = with_words(result, *((f"word{i}", 1.0) for i in range(20_000)))._repr_html_()
    assert len(html) < 400_000
    assert re.search(r"… 19,\d\d\d more words", Reader(html).text)


def test_layers_by_word_add_up(bert):
    model, tokenizer = bert
    found = explain(model, tokenizer, "unwatchable , hardly a great film !")[0]
    by_word = found.layers_by_word()
    assert by_word.shape == (3, len(found.words))
    assert by_word.mean(axis=0) == pytest.approx([word.value for word in found.words], abs=1e-9)  # equal layer weights


def test_images_are_a_grid_of_patches(vit, pictures):
    model, processor = vit
    html = explain(model, processor, pictures[:1])[0]._repr_html_()
    Reader(html)
    assert html.count("<td") == 16
    assert html.count("<tr>") == 4
    with pytest.raises(AttributionError, match="no words"):
        explain(model, processor, pictures[:1])[0].plot_words()


def test_colour_without_any_relevance():
    assert colour(0.0, 0.0) == ""


def test_plots_draw_every_value(result):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn = with_words(result, ("costs", 1.5), ("$9$", -1.0), ("سيئ", 0.25))
    bars = drawn.plot_words(top=2)
    assert [bar.get_width() for bar in bars.patches] == [1.5, -1.0]
    assert [label.get_text() for label in bars.get_yticklabels()] == ["costs", r"\$9\$"]
    grid = drawn.plot_layers()
    assert np.asarray(grid.images[0].get_array()) == pytest.approx(drawn.layers_by_word())
    bars.figure.canvas.draw()
    pyplot.close("all")


def test_without_matplotlib_the_extra_is_named(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(AttributionError, match=r"calig\[notebook\]"):
        result.plot_words()

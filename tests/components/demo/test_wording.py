"""The wording: every template can be written for every product, and marks become spans."""

import random
import re

import pytest

from components.demo.reviews import Writer, read_marks, wording

KINDS = ("direct", "negated", "contrast", "filler")


def test_marks_become_word_spans():
    text, spans = read_marks("the zip is [far from good], [really]")
    assert text == "the zip is far from good, really"
    assert [text[start:end] for start, end in spans] == ["far", "from", "good", "really"]


@pytest.mark.parametrize("product", sorted(wording()["products"]))
@pytest.mark.parametrize("kind", KINDS)
def test_every_template_can_be_written(product, kind):
    for polarity in ("negative", "positive"):
        for seed in range(60):
            sentence = Writer(product, random.Random(seed)).sentence(kind, polarity)  # noqa: S311
            assert not re.search(r"[{}]", sentence)
            assert bool(read_marks(sentence)[1]) == (kind != "filler")
            assert not re.search(r"\ba \[?[aeio]", sentence)


def test_every_table_is_text():
    """YAML reads some bare words as booleans and numbers."""

    def leaves(node):
        for child in node.values() if isinstance(node, dict) else node:
            yield from leaves(child) if isinstance(child, dict | list) else [child]

    assert all(isinstance(leaf, str) for leaf in leaves(wording()))


def test_a_word_stands_for_one_polarity():
    for name in ("adjective", "noun", "verb", "advice"):
        assert not set(wording()[name]["positive"]) & set(wording()[name]["negative"])


def test_nothing_is_said_twice_in_one_review():
    writer = Writer("phone", random.Random(0))  # noqa: S311
    sentences = [writer.sentence("filler", "positive") for _ in range(8)]
    assert len(set(sentences)) == 8

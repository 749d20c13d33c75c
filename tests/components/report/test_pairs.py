"""Both texts of a pair are drawn after their names."""

from __future__ import annotations

import pytest

from components.report.drawing import heat
from components.report.rows import Word

TEXT = "good film !\nit is bad"


def drawn(*spans: tuple[int, int], start: int | None = 12) -> list[str]:
    words = [Word(TEXT[a:b], a, b, 1.0) for a, b in spans]
    made = heat.pieces(TEXT, words, [1.0] * len(words), 1.0, start)
    return [f"<{piece.text}>" if piece.side_name else piece.text for piece in made]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        (((0, 4), (12, 14)), ["<text>", "good", " film !\n", "<text_pair>", "it", " is bad"]),
        (((15, 17),), ["<text>", "good film !\n", "<text_pair>", "it ", "is", " bad"]),
        (((0, 4),), ["<text>", "good", " film !\n", "<text_pair>", "it is bad"]),
        (((10, 11), (12, 21)), ["<text>", "good film ", "!", "\n", "<text_pair>", "it is bad"]),
        ((), ["<text>", "good film !\n", "<text_pair>", "it is bad"]),
    ],
)
def test_the_names_stand_before_their_texts(spans: tuple[tuple[int, int], ...], expected: list[str]) -> None:
    assert drawn(*spans) == expected


def test_a_single_text_has_no_names() -> None:
    assert drawn((0, 4), (12, 14), start=None) == ["good", " film !\n", "it", " is bad"]

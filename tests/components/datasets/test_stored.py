"""Examples on disk are a sequence like a list, and come back as they were."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.datasets import stored
from components.datasets.stored import Examples, Lines
from schemas.release import Example

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_SPANS = st.lists(st.tuples(st.integers(0, 9), st.integers(10, 20)), max_size=2).map(tuple)
_EXAMPLE = st.builds(
    Example,
    row=st.integers(0, 2**40),
    id=_TEXT,
    text=st.none() | _TEXT,
    text_pair=st.none() | _TEXT,
    image=st.none() | st.just(Path("/data/Ω.png")),
    label=st.none() | _TEXT,
    gold_labels=st.none() | st.lists(_TEXT, max_size=2).map(tuple),
    gold_value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    segments=st.dictionaries(_TEXT, _TEXT, max_size=2),
    rationale=st.none() | _SPANS,
    rationales=st.none() | st.lists(_SPANS, max_size=2).map(tuple),
    problem=st.none() | _TEXT,
    asked_class=st.none() | _TEXT,
)


@given(st.lists(_EXAMPLE, max_size=8))
def test_examples_come_back_as_they_were(made: list[Example]) -> None:
    assert list(Examples(made)) == made


@pytest.fixture(scope="module")
def made() -> list[Example]:
    return [Example(row=i, id=str(i), text="line\nbreak\u2028\r" * (i % 7)) for i in range(600)]


@pytest.mark.parametrize("block", [2, 100, 1 << 18])
def test_a_sequence_like_a_list(made: list[Example], block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a line is longer than what is read at a time."""
    monkeypatch.setattr(stored, "_BLOCK", block)
    examples = Examples(iter(made))
    assert len(examples) == len(made)
    assert list(examples) == made
    for place in (0, 1, 255, 599, -1, -600):
        assert examples[place] == made[place]
    for some in (
        slice(0, 256),
        slice(512, 768),
        slice(-3, None),
        slice(None),
        slice(5, 2),
        slice(7, 99, 9),
        slice(None, None, -100),
    ):
        assert examples[some] == made[some]
    for place in (600, -601):
        with pytest.raises(IndexError):
            examples[place]
    assert not Examples([])


def test_readers_do_not_disturb_each_other(made: list[Example]) -> None:
    examples = Examples(made)
    pairs = zip(examples, examples[::-1], iter(examples), strict=True)
    assert all(a == c and b == examples[599 - a.row] for a, b, c in pairs)


def test_the_file_is_gone_with_the_object() -> None:
    lines = Lines()
    lines.append("a")
    file = lines._file
    assert list(lines.read(0, 1)) == [b"a"]
    del lines
    assert file.closed

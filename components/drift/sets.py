"""Sets of words that are tested together: those of the operator's file, and a few that come with calig.

The built-in ones are closed classes of English grammar, written down by hand (negations, personal pronouns of either gender), and
patterns that hold in any language (numbers, words in capitals, emoji).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from components.common.errors import InputError
from components.common.plain_text import word_key
from components.common.yaml_file import read_yaml_record
from components.drift.examples import Examples
from components.table.units import without_side
from schemas.base import Record


@dataclass(frozen=True)
class WordSet:
    """A set by the rule that says which words, as written, belong to it; `named` by the operator, who wants it judged."""

    name: str
    rule: Callable[[str], bool]
    named: bool = False

    def holds(self, unit: str) -> bool:
        """Whether a unit is in the set; of pairs, in whichever text it stands."""
        return self.rule(without_side(unit))


def texts_held(examples: Examples, sets: Sequence[WordSet]) -> NDArray[np.bool_]:
    """`sets texts`: which of the different texts of words are in each set."""
    held = [[one.holds(text) for text in examples.texts] for one in sets]
    return np.array(held, dtype=bool).reshape(len(sets), len(examples.texts))


class NamedSet(Record):
    """A set in the operator's file."""

    words: tuple[str, ...] = Field(min_length=1, description="single words, upper and lower case alike")
    source: str = Field(default="", description="where the words come from")


class SetsFile(Record):
    """The file of `drift.sets_file`."""

    sets: dict[str, NamedSet] = Field(min_length=1)


_ALLOWED = "sets: {NAME: {words: [WORD, …], source: TEXT}}"
_STEP = "deploy/docs/how-to/word-sets.md has an example"

_NEGATIONS = "no not never none nobody nothing nowhere neither nor cannot without hardly"
_CONTRACTED = "ain aren can couldn didn doesn don hadn hasn haven isn mustn needn shan shouldn wasn weren won wouldn"
_MASCULINE = "he him his himself"
_FEMININE = "she her hers herself"
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf]")


def word_sets(path: Path | None) -> list[WordSet]:
    """The built-in sets, and those in the operator's file at `path`; one of the same name takes the place of a built-in one.

    Raises:
        InputError: the file cannot be read, has an unknown key, an empty set, or an entry that is not a single word.
    """
    named = [] if path is None else _read(path.expanduser())
    taken = {one.name for one in named}
    return [*named, *(one for one in _built_in() if one.name not in taken)]


def _built_in() -> list[WordSet]:
    contracted = " ".join(f"{stem}'t" for stem in _CONTRACTED.split())
    return [
        WordSet("negations", _among(f"{_NEGATIONS} {contracted}".split())),
        WordSet("masculine pronouns", _among(_MASCULINE.split())),
        WordSet("feminine pronouns", _among(_FEMININE.split())),
        WordSet("numbers", lambda word: any(map(str.isdigit, word)) and not any(map(str.isalpha, word))),
        WordSet("words in capitals", lambda word: len(word) > 1 and word.isupper()),
        WordSet("emoji", lambda word: _EMOJI.search(word) is not None),
    ]


def _among(words: list[str] | tuple[str, ...]) -> Callable[[str], bool]:
    known = frozenset(map(word_key, words))
    return lambda word: word_key(word) in known


def _read(path: Path) -> list[WordSet]:
    file = read_yaml_record(path, SetsFile, "file of word sets (drift.sets_file)", allowed=_ALLOWED, next_step=_STEP)
    for name, one in file.sets.items():
        _refuse_phrases(name, one, path)
    return [WordSet(name, _among(one.words), named=True) for name, one in file.sets.items()]


def _refuse_phrases(name: str, one: NamedSet, path: Path) -> None:
    odd = [word for word in one.words if len(word.split()) != 1 or word != word.strip()]
    if odd:
        raise InputError(
            f"the file of word sets (drift.sets_file): sets.{name}.words has entries that are not single words",
            got=f"{path}: {odd[:5]}",
            allowed="one word each: texts are cut into words, and phrases are tested by themselves (drift.phrase_words)",
            next_step=_STEP,
        )

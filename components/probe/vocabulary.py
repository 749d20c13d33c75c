"""Vocabulary of the probe: whole words of both tokenizers, of the data set, and of a list when one is given."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calig.words import word_spans
from components.common.errors import InputError
from schemas.probe import WordSource

_LONGEST_WORD = 40  # characters; longer entries are addresses and debris


@dataclass(frozen=True)
class KnownWords:
    """The words to probe, and of how many known ones they were taken, source by source."""

    words: list[str]
    sources: tuple[WordSource, ...]

    @property
    def n_left_out(self) -> int:
        """Known words that are not probed."""
        return sum(source.n_known - source.n_probed for source in self.sources)


def known_words(
    tokenizers: Sequence[Any], *, data_words: Iterable[str] = (), listed: Iterable[str] = (), limit: int
) -> KnownWords:
    """At most `limit` words to probe.

    The listed words come first, then the data set's (most frequent first, as given), then the vocabularies'. Of these, since a
    vocabulary of many languages has more than can be probed, first those written in letters that the data set uses, then those in
    its scripts, then all others, each in the order of their ids, the tokenizers in turn: vocabularies list frequent words first.
    When no tokenizer tells a word from its lower-case form, neither do we.
    """
    fold = (lambda word: word) if _distinct_cases(tokenizers) else str.casefold
    data = [*data_words]
    in_vocabularies = _in_turn([whole_words(tokenizer) for tokenizer in tokenizers])
    sources = {"word list": [*map(str.strip, listed)], "data set": data, **_by_letters(in_vocabularies, data)}
    first = {word: name for name, words in reversed(sources.items()) for word in map(fold, words) if word}
    words = list(dict.fromkeys(fold(word) for words in sources.values() for word in words if word))
    known, probed = Counter(first.values()), Counter(first[word] for word in words[:limit])
    counts = (WordSource(name=name, n_known=known[name], n_probed=probed[name]) for name in sources if known[name])
    return KnownWords(words[:limit], tuple(counts))


def whole_words(tokenizer: Any) -> list[str]:
    """Vocabulary entries that stand for a whole word, punctuation mark or emoji, in the order of their ids.

    An entry is one when its text, put after a blank, is encoded as one token again: pieces of words are not (`##ing`,
    or `ing` without its blank in GPT-2's vocabulary), whatever a tokenizer calls them.
    """
    special = set(tokenizer.all_special_ids)
    ids = [number for number in sorted(tokenizer.get_vocab().values()) if number not in special]
    texts = [text for text in dict.fromkeys(t.strip() for t in tokenizer.batch_decode([[i] for i in ids])) if _is_word(text)]
    if not texts:
        return []
    encoded = tokenizer([f" {text}" for text in texts], add_special_tokens=False, return_attention_mask=False)["input_ids"]
    return [text for text, got in zip(texts, encoded, strict=True) if len(got) == 1 and got[0] not in special]


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Rows in which each word occurs, case folded: the data set's own words, in the order of their first occurrence."""
    words = ((text[start:end].casefold() for start, end in word_spans(text)) for text in texts)
    return Counter(word for row in words for word in dict.fromkeys(row))


def read_word_list(path: Path | None) -> list[str]:
    """The words of a list, one a line; none without a path. InputError when it cannot be read as UTF-8 text."""
    if path is None:
        return []
    try:
        return [line.strip() for line in path.expanduser().read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "setting 'probe.word_list': the file cannot be read", got=f"{path}: {error}", allowed="UTF-8 text, one word a line"
        ) from error


def _is_word(text: str) -> bool:
    """Something a person could have written between two blanks."""
    printable = 0 < len(text) <= _LONGEST_WORD and text.isprintable() and not any(c.isspace() for c in text)
    return printable and "\N{REPLACEMENT CHARACTER}" not in text and unicodedata.category(text[0]) != "Mn"


def _distinct_cases(tokenizers: Sequence[Any]) -> bool:
    return any(t.tokenize("Word WORD") != t.tokenize("word word") for t in tokenizers)


def _in_turn(lists: list[list[str]]) -> list[str]:
    """The lists as one, taking from each in turn, so that a limit cuts all of them alike."""
    longest = max(map(len, lists), default=0)
    return [words[place] for place in range(longest) for words in lists if place < len(words)]


def _by_letters(words: Iterable[str], data_words: Iterable[str]) -> dict[str, list[str]]:
    """`words` by how near their letters are to those of the data set. Digits, marks and emoji belong to every language."""
    letters = {letter for word in data_words for letter in _letters(word)}
    scripts = {_script(letter) for letter in letters}
    sources: dict[str, list[str]] = {
        f"vocabularies, {name}": [] for name in ("the data's letters", "its scripts", "other scripts")
    }
    near, same, other = sources.values()
    for word in words:
        own = _letters(word)
        (near if own <= letters else same if {*map(_script, own)} <= scripts else other).append(word)
    return sources


def _letters(word: str) -> set[str]:
    return {character for character in word.casefold() if unicodedata.category(character)[0] in "LM"}


def _script(letter: str) -> str:
    """The first word of a character's Unicode name: LATIN, CYRILLIC, DEVANAGARI, CJK …"""
    return unicodedata.name(letter, "").split(" ", 1)[0]

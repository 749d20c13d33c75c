"""Transformations of a text: case, punctuation, negation, names, length, order. They should move two versions' answers alike.

Each is deterministic: what is drawn depends on the text alone. A text that a transformation does not apply to (no negation in it,
a script without case, one word only) gives None and is counted as left out.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import regex

from calig.words import word_spans
from components.common.plain_text import word_key
from components.common.yaml_file import read_yaml_record
from components.probe.pairs import on_open_side
from schemas.config import TransformationName
from schemas.probe import TransformationWords

#: A text changed, or None where the transformation does not apply.
Transformation = Callable[[str], str | None]

_ENGLISH = Path(__file__).with_name("english.yaml")

#: Fewer words than this have no half that is a text.
_FEWEST_TO_CUT = 4


def read_transformation_words(path: Path | None) -> TransformationWords:
    """The negations and entities of a YAML file; without a path a small English list.

    Raises:
        InputError: the file cannot be read, has unknown keys, or has a group in which there is nothing to swap.
    """
    return read_yaml_record(
        (path or _ENGLISH).expanduser(),
        TransformationWords,
        "file of the setting 'probe.transformation_words'",
        allowed="negations: {word: replacement}, entities: {group: [two different names or more]}",
        next_step="components/probe/english.yaml is an example",
        empty={},
    )


def transformations(names: Iterable[TransformationName], words: TransformationWords) -> dict[TransformationName, Transformation]:
    """The transformations of these names, in their order; of a pair they change the open side."""
    known: Mapping[TransformationName, Callable[[], Transformation]] = {
        "case": lambda: _upper_case,
        "punctuation": lambda: _without_punctuation,
        "negation": lambda: _negations_replaced(words.negations),
        "entities": lambda: _entities_swapped(words.entities),
        "truncation": lambda: _first_half,
        "order": lambda: _shuffled,
    }
    return {name: on_open_side(_where_changed(known[name]())) for name in dict.fromkeys(names)}


def _where_changed(change: Transformation) -> Transformation:
    """None also for a change that changes nothing or leaves nothing."""

    def changed(text: str) -> str | None:
        new = change(text)
        return new if new and new != text and word_spans(new) else None

    return changed


def _upper_case(text: str) -> str:
    return text.upper()


def _without_punctuation(text: str) -> str | None:
    """Without its punctuation marks; those inside a word (it's, U.S) belong to the word."""
    marks = [(start, end) for start, end in word_spans(text) if _is_punctuation(text[start:end])]
    return _tidied(_replaced(text, marks, [" "] * len(marks))) if marks else None


def _first_half(text: str) -> str | None:
    """The first half of its words."""
    spans = word_spans(text)
    return text[: spans[(len(spans) + 1) // 2 - 1][1]] if len(spans) >= _FEWEST_TO_CUT else None


def _shuffled(text: str) -> str | None:
    """Its words in another order, punctuation and blanks staying in their places."""
    spans = [(start, end) for start, end in word_spans(text) if not _is_punctuation(text[start:end])]
    words = [text[start:end] for start, end in spans]
    if len(set(words)) < 2:
        return None
    drawn = list(words)
    random.Random(text).shuffle(drawn)  # noqa: S311 - no secret
    return _replaced(text, spans, drawn if drawn != words else [*words[1:], words[0]])


def _negations_replaced(negations: Mapping[str, str]) -> Transformation:
    """Each negation replaced by what the list says, or left out."""
    known = {word_key(word): new for word, new in negations.items()}
    pattern = _any_of(known)

    def replaced(text: str) -> str | None:
        new, n = pattern.subn(lambda found: _cased(known[word_key(found.group())], found.group()), text)
        return _tidied(new) if n else None

    return replaced


def _entities_swapped(groups: Mapping[str, Sequence[str]]) -> Transformation:
    """Each entity replaced by another of its group: the same one by the same, different ones by different ones."""
    places = {word_key(name): (group, at) for group, names in groups.items() for at, name in enumerate(names)}
    pattern = _any_of(places)

    def swapped(text: str) -> str:
        def other(found: regex.Match[str]) -> str:
            group, at = places[word_key(found.group())]
            names = groups[group]
            step = random.Random(f"{group} {text}").randrange(1, len(names))  # noqa: S311 - no secret
            return _cased(names[(at + step) % len(names)], found.group())

        return str(pattern.sub(other, text))

    return swapped


def _any_of(words: Iterable[str]) -> regex.Pattern[str]:
    """Any of the words as a whole (UAX #29), whatever its case and its apostrophe, longest first; without words nothing."""
    listed = [regex.escape(word).replace("'", "['’]") for word in sorted(words, key=len, reverse=True)]
    return regex.compile(rf"(?V1)(?w)\b(?:{'|'.join(listed)})\b" if listed else r"(?!)", regex.IGNORECASE)


def _cased(new: str, old: str) -> str:
    """`new` written as `old` is: in lower case, in capitals, or beginning with one."""
    if old.islower():
        return new.lower()
    if old.isupper() and len(old) > 1:
        return new.upper()
    return new[:1].upper() + new[1:] if old[:1].isupper() else new


def _replaced(text: str, spans: Sequence[tuple[int, int]], parts: Sequence[str]) -> str:
    """`text` with the characters of each span, in order, replaced by a part."""
    done, at = [], 0
    for (start, end), part in zip(spans, parts, strict=True):
        done += [text[at:start], part]
        at = end
    return "".join([*done, text[at:]])


def _tidied(text: str) -> str:
    """Without the double blanks that a word leaves behind."""
    return str(regex.sub(r"[ \t]{2,}", " ", text)).strip()


def _is_punctuation(word: str) -> bool:
    return all(unicodedata.category(character).startswith("P") for character in word)

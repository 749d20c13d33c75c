"""Redaction for one run: tables, words and drift reports as they may be compared, and as they may be shown.

A redacted word is named by a keyed hash, or by the place of its first occurrence; the key of the hash is read here too.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from calig.words import word_spans
from components.common.errors import InputError
from components.common.secrets import hidden
from components.privacy.tables import CoveredText, OwnTexts, WordName, blocks, cover_table, cover_text
from schemas.base import digest_of
from schemas.config import PrivacyConfig
from schemas.drift import DriftExample, DriftReport
from schemas.release import Example

VARIABLE = "CALIG_TEXT_KEY"
FILE_VARIABLE = "CALIG_TEXT_KEY_FILE"
_SHORTEST = 16
_NEXT = f"openssl rand -base64 32 > text.key, keep it secret, and set {FILE_VARIABLE}=text.key"


def settled(config: PrivacyConfig, modality: str) -> PrivacyConfig:
    """The settings with the id of the key in use.

    Raises:
        InputError: there is no usable key, it is not the one demanded, or the model reads pictures, which are not covered.
    """
    if config.texts == "keep":
        return config.model_copy(update={"key_id": None})
    if modality != "text":
        raise InputError(
            "setting 'privacy.texts': the report shows the pictures of an image model, and they cannot be covered",
            got=config.texts,
            allowed="keep, for image models",
        )
    return config.model_copy(update={"key_id": _id_in_use(config) if config.texts == "hash" else None})


def key_of(config: PrivacyConfig) -> bytes | None:
    """The key of `hash`; None for other settings. Errors as above."""
    return _read() if config.texts == "hash" else None


def _id_in_use(config: PrivacyConfig) -> str:
    found = hmac.new(_read(), b"calig: id of the key of texts", hashlib.sha256).hexdigest()[:16]
    if config.key_id not in {None, found}:
        raise InputError(
            "setting 'privacy.key_id': another key is in use", got=found, allowed=config.key_id, next_step=f"set {FILE_VARIABLE}"
        )
    return found


def _read() -> bytes:
    """The key without the line's end. Its length is checked: words can be guessed, a short key too."""
    path = os.environ.get(FILE_VARIABLE)
    try:
        key = Path(path).expanduser().read_bytes().strip() if path else os.environ.get(VARIABLE, "").encode()
    except OSError as error:
        raise InputError(f"the file that {FILE_VARIABLE} names cannot be read", got=error.strerror, next_step=_NEXT) from error
    if len(key) < _SHORTEST:
        raise InputError(
            "privacy.texts: hash needs a secret key", got=f"{len(key)} bytes", allowed=f"{_SHORTEST} or more", next_step=_NEXT
        )
    return key


#: A word of a text → its name, alike for all spellings in upper and lower case, as drift counts words.
Naming = Callable[[str], str]

#: 64 bits: two of a million words share a name with probability 3e-8.
_DIGITS = 16


def hashed(key: bytes) -> Naming:
    """HMAC-SHA256 of the case-folded word, its first 16 digits: the same under the same key, wherever it occurs."""
    known: dict[str, str] = {}

    def name(word: str) -> str:
        folded = word.casefold()
        if folded not in known:
            known[folded] = hmac.new(key, folded.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:_DIGITS]
        return known[folded]

    return name


def placed(rows: Iterable[tuple[int, str]]) -> Naming:
    """`word 3 of row 17`: where it first occurs among `rows` (number, text), words counted from 1; else only numbered."""
    places: dict[str, str] = {}
    for row, text in rows:
        for n, (start, end) in enumerate(word_spans(text), start=1):
            places.setdefault(text[start:end].casefold(), f"word {n} of row {row}")
    others: dict[str, str] = {}

    def name(word: str) -> str:
        folded = word.casefold()
        return places.get(folded) or others.setdefault(folded, f"word {len(others) + 1} outside the rows")

    return name


def hindrance(theirs: PrivacyConfig, ours: PrivacyConfig, *, same_rows: bool = True) -> str | None:
    """Why an earlier explanation's tables cannot be held against ours, if so.

    On the same rows, tables with kept or redacted texts can: the rows themselves say what stands at their characters. Hashed
    words have other places, and need our own texts hashed by the same key.

    Args:
        theirs, ours: how texts were covered there, and how they are here.
        same_rows: whether both explain the same data set.
    """
    if theirs.texts == "redact" and not same_rows:
        return "its texts were redacted (privacy.texts), so that its words cannot be told apart"
    if theirs.texts != "hash" or (ours.texts == "hash" and theirs.key_id == ours.key_id):
        return None
    if ours.texts != "hash":
        return f"its texts were hashed by key {theirs.key_id}, and here they are to be {_DONE[ours.texts]} (privacy.texts)"
    return f"its texts were hashed by another key ({theirs.key_id}, here {ours.key_id})"


_DONE = {"keep": "kept", "redact": "redacted"}


def told(error: Exception, config: PrivacyConfig) -> str:
    """An error as a record may tell it: without secrets, and messages of libraries can quote the text they worked on."""
    if config.texts == "keep":
        return hidden(f"{type(error).__name__}: {error}")
    return f"{type(error).__name__} (its message may quote texts and is left out, as privacy.texts asks)"


#: Tables of this run, before they are covered.
_RAW = PrivacyConfig()


class Cover:
    """The cover that `config` asks for, over the rows `examples`; tables it writes go into `folder`.

    Two forms of a table: *named*, where equal words have equal names, which comparisons read; and *shown*, which is written
    into results and report. They differ for `redact` alone: shown words are blocks, since texts in which equal words stay
    recognisable could be deciphered.
    """

    def __init__(self, config: PrivacyConfig, examples: Sequence[Example], folder: Path, key: bytes | None) -> None:
        self.config = config
        self._folder = folder
        self._texts = OwnTexts(examples)
        self._name = _naming(config, examples, key)

    def word(self, word: str) -> str:
        """What a single word is called."""
        return self._name(word)

    def text(self, text: str) -> str:
        """A text as it may be shown."""
        return (_in_blocks if self.config.texts == "redact" else self._covered)(text).text

    def named(self, tables: Sequence[Path], theirs: PrivacyConfig = _RAW, *, same_rows: bool = True) -> list[Path]:
        """Tables to compare by; `theirs` says how they are covered already, `same_rows` whether they are of our rows."""
        return self._written(tables, theirs, same_rows, "named", self._covered, lambda _, word: word)

    def shown(self, tables: Sequence[Path], theirs: PrivacyConfig = _RAW, *, same_rows: bool = True) -> list[Path]:
        """Tables to show and publish; arguments as above."""
        if self.config.texts != "redact":
            return self.named(tables, theirs, same_rows=same_rows)
        return self._written(tables, theirs, same_rows, "shown", _in_blocks, lambda n, _: f"word {n + 1}")

    def report(self, report: DriftReport) -> DriftReport:
        """A drift report as it may be shown: in examples of redacted texts equal words are not recognisable either."""
        if self.config.texts != "redact":
            return report
        return report.model_copy(update={"worst": tuple(_blocked(example) for example in report.worst)})

    def _covered(self, text: str) -> CoveredText:
        return CoveredText(text, (), ()) if self.config.texts == "keep" else cover_text(text, self._name)

    def _written(
        self,
        tables: Sequence[Path],
        theirs: PrivacyConfig,
        same_rows: bool,
        form: str,
        cover: Callable[[str], CoveredText],
        word_name: WordName,
    ) -> list[Path]:
        if theirs.texts == "hash" or theirs.texts == self.config.texts == "keep":
            return list(tables)  # hashed by our key, else they were refused; or nothing is covered at all
        texts = self._texts if same_rows else None
        return [self._write(table, form, cover, word_name, texts) for table in tables]

    def _write(
        self, table: Path, form: str, cover: Callable[[str], CoveredText], word_name: WordName, texts: OwnTexts | None
    ) -> Path:
        """Tables of several versions have equal names: each source gets a folder of its own."""
        target = self._folder / form / digest_of(str(table.parent))[:12] / table.name
        cover_table(table, target, cover, word_name, texts)
        return target


def _in_blocks(text: str) -> CoveredText:
    return cover_text(text, blocks)


def _naming(config: PrivacyConfig, examples: Sequence[Example], key: bytes | None) -> Naming:
    if config.texts == "keep":
        return lambda word: word
    if config.texts == "redact":
        return placed((example.row, text) for example in examples if (text := example.full_text) is not None)
    if key is None:
        raise ValueError("hashing needs a key")
    return hashed(key)


def _blocked(example: DriftExample) -> DriftExample:
    """All words alike, in their order; each named by its number."""
    if example.pair_start is not None:
        first = sum(word.start < example.pair_start for word in example.words)
        example = example.model_copy(update={"pair_start": (len(_BLOCK) + 1) * first})
    places = range(0, (len(_BLOCK) + 1) * len(example.words), len(_BLOCK) + 1)
    words = tuple(
        word.model_copy(update={"text": f"word {n}", "start": at, "end": at + len(_BLOCK)})
        for n, (word, at) in enumerate(zip(example.words, places, strict=True), start=1)
    )
    return example.model_copy(update={"text": " ".join([_BLOCK] * len(words)), "words": words})


_BLOCK = blocks("abc")

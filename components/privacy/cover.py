"""Redaction for one run: tables, words and drift reports as they may be compared, and as they may be shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from components.common.secrets import hidden
from components.privacy.names import Naming, hashed, placed
from components.privacy.tables import CoveredText, WordName, blocks, cover_table, cover_text
from schemas.base import digest_of
from schemas.config import PrivacyConfig
from schemas.drift import DriftExample, DriftReport
from schemas.release import Example


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
        self._texts = {example.id: example.text for example in examples if example.text is not None}
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
        self, table: Path, form: str, cover: Callable[[str], CoveredText], word_name: WordName, texts: Mapping[str, str] | None
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
        return placed((example.row, example.text) for example in examples if example.text is not None)
    if key is None:
        raise ValueError("hashing needs a key")
    return hashed(key)


def _blocked(example: DriftExample) -> DriftExample:
    """All words alike, in their order; each named by its number."""
    places = range(0, (len(_BLOCK) + 1) * len(example.words), len(_BLOCK) + 1)
    words = tuple(
        word.model_copy(update={"text": f"word {n}", "start": at, "end": at + len(_BLOCK)})
        for n, (word, at) in enumerate(zip(example.words, places, strict=True), start=1)
    )
    return example.model_copy(update={"text": " ".join([_BLOCK] * len(words)), "words": words})


_BLOCK = blocks("abc")

"""Covers texts in attribution tables: other names for words, and every character offset mapped to the covered text."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from calig.words import word_spans
from components.table.by_id import ById, id_digest
from components.table.reader import iter_batches
from schemas.attribution import SCHEMA
from schemas.release import Example

Span = tuple[int, int]


@dataclass(frozen=True)
class CoveredText:
    """`text` in place of the original; `before` and `after` are the words' spans in the original and in `text`."""

    text: str
    before: tuple[Span, ...]
    after: tuple[Span, ...]

    def start(self, offset: int) -> int:
        """Where a stretch that began at `offset` begins; negative offsets (special tokens) stay."""
        index = bisect_right(self.before, offset, key=lambda span: span[0]) - 1
        if index < 0:
            return offset
        (a, b), (c, d) = self.before[index], self.after[index]
        return c + min((offset - a) * (d - c) // (b - a), d - c - 1) if offset < b else d + offset - b

    def end(self, offset: int) -> int:
        """Where a stretch that ended before `offset` ends: behind its start, also where a name is shorter than its word."""
        index = bisect_left(self.before, offset, key=lambda span: span[0]) - 1
        if index < 0:
            return offset
        (a, b), (c, d) = self.before[index], self.after[index]
        return c + max(1, -(-(offset - a) * (d - c) // (b - a))) if offset <= b else d + offset - b


def cover_text(text: str, name: Callable[[str], str]) -> CoveredText:
    """`text` with every word by its `name` and everything between words as blanks, as many as it had characters."""
    parts: list[str] = []
    after: list[Span] = []
    at, length, spans = 0, 0, word_spans(text)
    for start, end in spans:
        named = name(text[start:end])
        length += start - at
        after.append((length, length + len(named)))
        parts += [" " * (start - at), named]
        at, length = end, length + len(named)
    return CoveredText("".join([*parts, " " * (len(text) - at)]), tuple(spans), tuple(after))


def blocks(word: str) -> str:
    """Nothing of the word but its length."""
    return "█" * len(word)


#: Name of the word that is the n-th (from 0) of its row and covers this stretch of the covered text.
WordName = Callable[[int, str], str]

#: Problems of rows that quote nothing of a text, by how they begin.
_QUOTING_NOTHING = (
    *("the text is empty", "the text is a ", "the text has no tokens", "no label, but"),
    *("the second text of the pair is ", "a text of the pair has no tokens"),
)
_LEFT_OUT = "the reason may quote the text and is left out"

_COLUMNS = ("text", "pair_start", "problem", "tokens", "input_ids", "starts", "ends", "words", "rationale", "rationales")


class OwnTexts:
    """The texts of our own rows by id, each read when it is asked for: of a row 16 bytes are held, and none before that."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = examples

    @cached_property
    def _places(self) -> ById:
        return ById(array("Q", (id_digest(example.id) for example in self._examples)), np.arange(len(self._examples)))

    def of(self, row: Mapping[str, Any]) -> str:
        """The text of the row of a table, as it stands in our rows; of a row that is not among them its own."""
        found = (self._examples[place] for place in self._places.of(row["id"]).tolist())
        own = next((example.full_text for example in found if example.id == row["id"]), None)
        return str(row["text"]) if own is None else own


def cover_table(
    source: Path, target: Path, cover: Callable[[str], CoveredText], word_name: WordName, texts: OwnTexts | None
) -> None:
    """Write `source` to `target`, its texts covered; a row's text is its own in `texts`, where these are given."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(target, SCHEMA, compression="zstd") as writer:
        for batch in iter_batches([source], SCHEMA.names):
            table = pa.Table.from_batches([batch])
            rows = table.select(["id", "content", *_COLUMNS]).to_pylist()
            covered = [_covered_row(_restated(row, texts), cover, word_name) for row in rows]
            for name in _COLUMNS:
                values = pa.array([row[name] for row in covered], SCHEMA.field(name).type)
                table = table.set_column(table.schema.get_field_index(name), SCHEMA.field(name), values)
            writer.write_table(table.select(SCHEMA.names).cast(SCHEMA))


def _restated(row: dict[str, Any], texts: OwnTexts | None) -> dict[str, Any]:
    return row if texts is None or row["text"] is None else row | {"text": texts.of(row)}


def _covered_row(row: dict[str, Any], cover: Callable[[str], CoveredText], word_name: WordName) -> dict[str, Any]:
    problem = row["problem"]
    kept = problem is None or problem.startswith(_QUOTING_NOTHING)
    row = row | {"problem": problem if kept else _LEFT_OUT}
    if row["text"] is None:
        return row
    text = cover(row["text"])
    return row | {
        "text": text.text,
        "pair_start": None if row["pair_start"] is None else text.start(row["pair_start"]),
        "tokens": _tokens(row),
        "input_ids": [] if row["input_ids"] is not None else None,
        "starts": _mapped(row["starts"], text.start),
        "ends": _mapped(row["ends"], text.end),
        "words": _words(row["words"], text, word_name),
        "rationale": _spans(row["rationale"], text),
        "rationales": None if row["rationales"] is None else [_spans(spans, text) for spans in row["rationales"]],
    }


def _tokens(row: dict[str, Any]) -> list[str] | None:
    """Special tokens by their names; those of the text are numbered, for their texts and ids would tell it."""
    if row["tokens"] is None:
        return None
    return [
        f"token {n}" if of_text else token for n, (token, of_text) in enumerate(zip(row["tokens"], row["content"], strict=True))
    ]


def _mapped(offsets: list[int] | None, place: Callable[[int], int]) -> list[int] | None:
    return None if offsets is None else [offset if offset < 0 else place(offset) for offset in offsets]


def _words(words: list[dict[str, Any]] | None, text: CoveredText, word_name: WordName) -> list[dict[str, Any]] | None:
    if words is None:
        return None
    spans = [(text.start(word["start"]), text.end(word["end"])) for word in words]
    return [
        {"text": word_name(n, text.text[start:end]), "start": start, "end": end, "value": word["value"]}
        for n, (word, (start, end)) in enumerate(zip(words, spans, strict=True))
    ]


def _spans(spans: list[dict[str, int]] | None, text: CoveredText) -> list[dict[str, int]] | None:
    return None if spans is None else [{"start": text.start(s["start"]), "end": text.end(s["end"])} for s in spans]

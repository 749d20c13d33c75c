"""Pairs of texts: tokenized in one call, cut to the model's length as tokenizers cut them, and explained on both sides or on one.

A side that is not explained is kept: its tokens stay in x' as they are in x, as special tokens do: f(x) − f(x') is what the other
side does beside it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from calig.errors import InvalidInputError
from calig.inputs import EncodedInput, check_vocabulary, encoded_row, tokenized

#: Names of the two sides, in their order, and what can be explained.
SIDES = ("text", "text_pair")
BOTH = "both"
EXPLAINED = (BOTH, *SIDES)

Pair = tuple[str, str]


def encode_pair(
    pair: Pair,
    tokenizer: Any,
    *,
    limit: int | None,
    vocabulary: int | None = None,
    token_types: int = 0,
    explain: str = BOTH,
) -> EncodedInput:
    """Two texts as one row of the model: separators and token types are the tokenizer's.

    Of a pair longer than `limit` tokens the longer text is cut until both are as long, then both, as tokenizers do with
    `truncation=True`; `coverage` is the share of both texts' tokens that is left.

    Args:
        limit, vocabulary: as for `calig.inputs.encode_text`.
        token_types: rows of the model's table of token types; 0: it has none.
        explain: "both", or the one side whose tokens are content; the other's are kept, and are in no word.

    Raises:
        InvalidInputError: the tokenizer takes no pairs, a side holds nothing to attribute, the model has no embedding for a token
            or a token type, or the limit leaves no room for both texts.
    """
    encoded = tokenized(pair, tokenizer)
    check_vocabulary(encoded, tokenizer, vocabulary)
    row = replace(encoded_row(pair[0], tokenizer, encoded), text_pair=pair[1], sides=encoded["sides"])
    _check_sides(row, tokenizer)
    _check_token_types(row, token_types)
    cut = row if limit is None or row.length <= limit else _cut(row, limit, getattr(tokenizer, "truncation_side", "right"))
    return cut if explain == BOTH else _keeping(cut, 1 - SIDES.index(explain))


def _check_sides(row: EncodedInput, tokenizer: Any) -> None:
    texts = dict(zip(SIDES, (row.text or "", row.text_pair or ""), strict=True))
    for side, (name, text) in enumerate(texts.items()):
        if _positions(row, side):
            continue
        if side == 0 or not text.strip():
            raise InvalidInputError(f"a text of the pair has no tokens to attribute\ngot: {name}: {text[:80]!r}")
        raise InvalidInputError(
            f"the tokenizer takes no pairs of texts, or knows no token of the second\ngot: {type(tokenizer).__name__}"
        )


def _check_token_types(row: EncodedInput, known: int) -> None:
    largest = max(row.token_types, default=0)
    if 0 < known <= largest:
        raise InvalidInputError(
            f"the model was not made for pairs: it has no embedding for the token type {largest} of the second text"
            f"\ngot: type_vocab_size = {known}"
        )


def _cut(row: EncodedInput, limit: int, side_cut: str) -> EncodedInput:
    """Special tokens, and of each text as many tokens as fit."""
    texts = [_positions(row, side) for side in (0, 1)]
    room = limit - (row.length - sum(map(len, texts)))
    if room < len(texts):
        raise InvalidInputError(
            f"max_length leaves no room for both texts\ngot: {limit}\nallowed: {limit - room + len(texts)} or more"
        )
    counts = _longest_first(len(texts[0]), len(texts[1]), room)
    lost = {
        place
        for places, count in zip(texts, counts, strict=True)
        for place in (places[: len(places) - count] if side_cut == "left" else places[count:])
    }
    return row.at([place for place in range(row.length) if place not in lost])


def _longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """Tokens left of each text where more than `room` are too many: the shorter keeps up to half, an odd one is the longer's."""
    shorter = min(first, second, room // 2)
    return (room - shorter, shorter) if first > second else (shorter, room - shorter)


def positions_of(row: EncodedInput, side: int) -> list[int]:
    """Where the tokens of one side are, kept or not."""
    return [place for place, of in enumerate(row.sides) if of == side]


def _positions(row: EncodedInput, side: int) -> list[int]:
    return [place for place, (of, content) in enumerate(zip(row.sides, row.content, strict=True)) if of == side and content]


def _keeping(row: EncodedInput, side: int) -> EncodedInput:
    """The row with one side kept: no content, and characters of no word."""
    kept = [of == side for of in row.sides]
    return replace(
        row,
        content=[content and not k for content, k in zip(row.content, kept, strict=True)],
        starts=[-1 if k else start for start, k in zip(row.starts, kept, strict=True)],
        ends=[-1 if k else end for end, k in zip(row.ends, kept, strict=True)],
    )

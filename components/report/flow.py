"""The layer × word flow of one example: what each layer contributes to each word, summed from the tokens."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from components.report.heat import level, scale_of
from components.report.rows import Drawn, Word

MAX_WORDS = 40


@dataclass(frozen=True, slots=True)
class Cell:
    """Relevance in logits and its colour level."""

    value: float
    level: int


@dataclass(frozen=True, slots=True)
class FlowRow:
    """One word: its relevance from each layer, and in the fused map."""

    name: str
    special: bool
    cells: tuple[Cell, ...]
    fused: Cell


@dataclass(frozen=True, slots=True)
class Flow:
    """Rows are words in reading order; `totals` (layers) and `fused_total` equal f(x) − f(x') up to the residual."""

    rows: tuple[FlowRow, ...]
    totals: tuple[float, ...]
    fused_total: float
    n_left_out: int


def flow_of(example: Drawn) -> Flow:
    """The flow of a text example: its `MAX_WORDS` strongest words in reading order, then the rest and the special tokens."""
    owner = [_owner(example, token) for token in range(len(example.tokens))]
    shown = _strongest(example.words)
    columns = (*example.layers, example.values)
    sums = [_by_word(column, owner, shown) for column in columns]
    names = [(example.words[index].text, False) for index in shown]
    names += [(f"{len(example.words) - len(shown)} weaker words", True)] if len(shown) < len(example.words) else []
    names += [("special tokens", True)]
    keys: list[int | None] = [*shown, *([_REST] if len(shown) < len(example.words) else []), None]
    # one colour scale over all layers, so that layers can be compared; the fused map has its own
    layer_scale = scale_of(total[key] for total in sums[:-1] for key in keys)
    fused_scale = scale_of(sums[-1][key] for key in keys)
    rows = [
        FlowRow(
            name,
            special,
            tuple(Cell(total[key], level(total[key], layer_scale)) for total in sums[:-1]),
            Cell(sums[-1][key], level(sums[-1][key], fused_scale)),
        )
        for (name, special), key in zip(names, keys, strict=True)
    ]
    left_out = len(example.words) - len(shown)
    return Flow(tuple(rows), tuple(sum(layer) for layer in example.layers), sum(example.values), left_out)


_REST = -1


def special_total(example: Drawn) -> float:
    """Relevance, in logits, of all tokens that belong to no word (for images: to no patch)."""
    if example.image is None:
        return sum(example.values) - sum(word.value for word in example.words)
    return sum(value for value, content in zip(example.values, example.content, strict=True) if not content)


def _owner(example: Drawn, token: int) -> int | None:
    """The word a token lies in; None for special tokens and for text between words."""
    start, end = example.starts[token], example.ends[token]
    if start < 0 or not example.content[token]:
        return None
    index = bisect_right(example.words, max(start, end - 1), key=lambda word: word.start) - 1
    return index if index >= 0 and start < example.words[index].end else None


def _strongest(words: tuple[Word, ...]) -> list[int]:
    order = sorted(range(len(words)), key=lambda index: -abs(words[index].value))
    return sorted(order[:MAX_WORDS])


def _by_word(values: tuple[float, ...], owner: list[int | None], shown: list[int]) -> dict[int | None, float]:
    kept = set(shown)
    totals: dict[int | None, float] = dict.fromkeys([*shown, _REST, None], 0.0)
    for value, word in zip(values, owner, strict=True):
        totals[word if word is None or word in kept else _REST] += value
    return totals

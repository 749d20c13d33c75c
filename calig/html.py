"""HTML of an attribution for notebooks: signed colours, nothing loaded, all text escaped.

Colours are translucent and letters keep the notebook's colour, so that a light and a dark theme both show it; opposing words are
dotted too, so that no sign rests on colour alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from calig.pairs import SIDES
from calig.pictures import PATCH_PLACE
from calig.row import AttributedRow
from calig.words import Word

SUPPORTS, OPPOSES = "24 112 196", "224 116 8"  # the report's blue and orange
_STRONGEST = 0.64  # opacity of the largest value
_MAX_CHARACTERS = 6000
_MAX_LAYER_WORDS = 200
_FRAME = "max-width:60em;line-height:1.5"
_TEXT = "font-size:1.05em;line-height:1.95;white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate;margin:.5em 0"
_SIDE = "font-size:.85em;opacity:.75;margin-top:.5em"
_TABLE = "border-collapse:collapse;color:inherit"
_CELL = "padding:.1em .5em;text-align:right;white-space:nowrap"
_NAME = "padding:.1em .5em;text-align:start;max-width:14em;overflow:hidden;text-overflow:ellipsis;white-space:nowrap"


def attribution_html(attribution: AttributedRow) -> str:
    """The row's words (images: patches) in signed colours, what they add up to, and the layers folded below."""
    scale = max((abs(word.value) for word in attribution.words), default=0.0)
    body = (_texts(attribution, scale) + _layers(attribution)) if attribution.words else _patches(attribution)
    return f'<div class="calig" style="{_FRAME}">{_head(attribution)}{body}{_sums(attribution)}</div>'


def colour(value: float, scale: float) -> str:
    """CSS of one value where `scale` (> 0) is the full colour: blue supports, orange and dots oppose."""
    strength = min(1.0, abs(value) / scale) * _STRONGEST if scale > 0 else 0.0
    if strength < _STRONGEST / 16:
        return ""
    if value > 0:
        return f"background:rgb({SUPPORTS} / {strength:.2f})"
    return (
        f"background:rgb({OPPOSES} / {strength:.2f});text-decoration:underline dotted rgb({OPPOSES});text-underline-offset:.28em"
    )


def _head(attribution: AttributedRow) -> str:
    share = "" if attribution.problem_type == "regression" else f" with {attribution.probability:.1%}"
    unsettled = "" if attribution.converged else " · <b>not converged: read with care</b>"
    return (
        f"<div>predicts <b><bdi>{escape(attribution.predicted)}</bdi></b>{share}; explains <b><bdi>{escape(attribution.target)}"
        f'</bdi></b>: <span style="{colour(1, 1)}">blue</span> supports it, <span style="{colour(-1, 1)}">orange</span> '
        f"opposes it{unsettled}</div>"
    )


def _texts(attribution: AttributedRow, scale: float) -> str:
    """The text; of a pair both, each under its name, or that one is kept."""
    if not attribution.sides:
        return _text(attribution.words, scale)
    parts = []
    for side, name in enumerate(SIDES):
        words = [word for word in attribution.words if word.side == side]
        kept = "" if words else " (kept as it is, not explained)"
        parts.append(f'<div style="{_SIDE}">{name}{kept}</div>{_text(words, scale) if words else ""}')
    return "".join(parts)


def _text(words: Sequence[Word], scale: float) -> str:
    """The words with a blank where characters lie between them; beyond the limit it says how many words are not drawn."""
    drawn = [word for word in words if word.end <= _MAX_CHARACTERS]
    parts, at = [], 0
    for word in drawn:
        parts.append(" " if word.start > at else "")
        parts.append(f'<span style="{colour(word.value, scale)}" title="{_signed(word.value)} logits">{escape(word.text)}</span>')
        at = word.end
    left_out = len(words) - len(drawn)
    more = f" <i>… {left_out:,} more words</i>" if left_out else ""
    return f'<div dir="auto" style="{_TEXT}">{"".join(parts).strip()}{more}</div>'


def _layers(attribution: AttributedRow) -> str:
    by_word = attribution.layers_by_word()[:, :_MAX_LAYER_WORDS]
    scale = float(abs(by_word).max(initial=0.0))
    head = "".join(f'<th scope="col" style="{_CELL}">{layer}</th>' for layer in range(len(by_word)))
    lines = (
        _line(word.text, (_cell(value, scale) for value in column))
        for word, column in zip(attribution.words, by_word.T, strict=False)
    )
    return (
        "<details><summary>Words by layer</summary>"
        f'<div style="overflow-x:auto"><table style="{_TABLE};font-size:.9em"><thead><tr><th scope="col" '
        f'style="{_NAME}">word</th>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div></details>'
    )


def _line(name: str, cells: Iterable[str]) -> str:
    return f'<tr><th scope="row" dir="auto" style="{_NAME}">{escape(name)}</th>{"".join(cells)}</tr>'


def _cell(value: float, scale: float) -> str:
    return f'<td style="{_CELL};{colour(value, scale)}">{value:+.2f}</td>'


def _patches(attribution: AttributedRow) -> str:
    """One coloured square per patch, in the rows that the patches' names say; nothing when they say none."""
    places = [
        (match, value)
        for name, value in zip(attribution.tokens, attribution.values, strict=True)
        if (match := PATCH_PLACE.search(name))
    ]
    scale = max((abs(value) for _, value in places), default=0.0)
    rows = groupby(places, key=lambda place: int(place[0][1]))
    lines = ("".join(_patch(match, value, scale) for match, value in row) for _, row in rows)
    table = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<table role="img" aria-label="relevance of the patches" style="{_TABLE};margin:.5em 0">{table}</table>'


def _patch(place: re.Match[str], value: float, scale: float) -> str:
    sign = "·" if value < 0 and colour(value, scale) else "&nbsp;"
    style = "width:1.4em;height:1.4em;padding:0;text-align:center;border:1px solid rgb(128 128 128 / .3)"
    return f'<td style="{style};{colour(value, scale)}" title="patch {place[1]},{place[2]}: {_signed(value)} logits">{sign}</td>'


def _sums(attribution: AttributedRow) -> str:
    special = float(attribution.values.sum()) - sum(word.value for word in attribution.words)
    special_words = f" (of it special tokens {_signed(special)})" if attribution.words else ""
    read = "" if attribution.coverage >= 1 else f" · {attribution.coverage:.1%} of the text was read"
    return (
        f'<div style="font-size:.85em;opacity:.75">sum {_signed(float(attribution.values.sum()))}{special_words} = f '
        f"{attribution.f_input:.2f} − baseline {attribution.f_baseline:.2f}{read}</div>"
    )


def _signed(value: float) -> str:
    return f"{value:+.2f}"

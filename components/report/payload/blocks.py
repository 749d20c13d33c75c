"""What the blocks of a chunk of rows hold, column by column; scripts/row.js reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.report.drawing import pictures
from components.report.payload.columns import Column
from components.report.payload.packing import PackedRow, PackedUnits

Chunk = Sequence[PackedRow]
Columns = Mapping[str, Column]


def text_columns(chunk: Chunk) -> Columns:
    """Texts, and how many characters each has in all."""
    return {"text": [row.text for row in chunk], "characters": _numbers((row.n_characters for row in chunk), np.uint32)}


def unit_columns(chunk: Chunk) -> Columns:
    """Words or patches with their relevance under both versions, ragged: `…_n` says how many each row has."""
    return {
        **_units("candidate", [row.units for row in chunk]),
        **_units("reference", [row.reference for row in chunk]),
        "special": _numbers((row.special for row in chunk), np.float32),
        "grid": np.array([row.grid for row in chunk], np.uint16).reshape(-1),
    }


def layer_columns(chunk: Chunk) -> Columns:
    """The flow of each row: `cells` is ragged, `layers × (shown + 2)` per row."""
    layers = [row.layers for row in chunk]
    return {
        "shown_n": _numbers((len(flow.shown) for flow in layers), np.uint16),
        "layers_n": _numbers((len(flow.steps) for flow in layers), np.uint16),
        "shown": np.concatenate([flow.shown for flow in layers]),
        "cells": np.concatenate([flow.cells.ravel() for flow in layers]),
        "attention": np.concatenate([flow.attention for flow in layers]),
        "attention_step": _numbers((flow.attention_step for flow in layers), np.float32),
        **{
            name: np.concatenate([getattr(flow, name) for flow in layers])
            for name in ("steps", "totals", "residuals", "n_points")
        },
    }


def picture_columns(processor: Path) -> Callable[[Chunk], Columns]:
    """JPEG bytes of what the model saw, `size` bytes per row: 0 when the file cannot be read."""

    def columns(chunk: Chunk) -> Columns:
        found = [pictures.thumbnail(Path(row.image), processor) if row.image else b"" for row in chunk]
        joined = np.frombuffer(b"".join(found), np.uint8)
        return {"size": _numbers((len(content) for content in found), np.uint32), "jpeg": joined}

    return columns


def _units(side: str, units: Sequence[PackedUnits]) -> dict[str, Column]:
    return {
        f"{side}_n": _numbers((len(some.codes) for some in units), np.uint16),
        f"{side}_step": _numbers((some.step for some in units), np.float32),
        **{f"{side}_{name}": np.concatenate([getattr(some, name) for some in units]) for name in ("gaps", "lengths", "codes")},
    }


def _numbers(values: Any, dtype: type[np.generic]) -> NDArray[Any]:
    return np.fromiter(values, dtype)

"""The harmless changes: a version made again by an honest recipe, and a version stored again in another form."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.benchmarks.drift.cells import Cell
from tests.benchmarks.drift.families import Row
from tests.benchmarks.drift.training import Recipe

#: Kind → training rows and recipe, from the cell and a seed that has not been used for another version.
RETRAININGS: dict[str, Callable[[Cell, int], tuple[Sequence[Row], Recipe]]] = {
    "reseed": lambda cell, seed: (cell.training, replace(cell.recipe, init_seed=seed, order_seed=seed)),
    "reordered data": lambda cell, seed: (cell.training, replace(cell.recipe, order_seed=seed)),
    "other rows": lambda cell, seed: (cell.fresh(seed), replace(cell.recipe, order_seed=seed)),
    "bootstrap": lambda cell, seed: (_resampled(cell, seed), replace(cell.recipe, order_seed=seed)),
    "more epochs": lambda cell, seed: (cell.training, replace(cell.recipe, order_seed=seed, epochs=cell.recipe.epochs + 1)),
    "batch size": lambda cell, seed: (cell.training, replace(cell.recipe, order_seed=seed, batch_rows=48)),
    "learning rate": lambda cell, seed: (cell.training, replace(cell.recipe, order_seed=seed, learning_rate=1.5e-3)),
}


def bfloat16_cast(reference: Path, folder: Path) -> None:
    """Weights rounded to bfloat16 and back."""
    model = _load(reference)
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16().float()
    _save(model, reference, folder)


def onnx_round_trip(reference: Path, folder: Path) -> None:
    """Weights exported to ONNX and read back from the file; ValueError if one of them is not in it."""
    import onnx
    from onnx import numpy_helper

    model = _load(reference)
    file = _export(model, folder)
    stored = {i.name: numpy_helper.to_array(i) for i in onnx.load(file).graph.initializer}
    file.unlink()
    weights = dict(model.named_parameters())
    if missing := sorted(set(weights) - set(stored)):
        raise ValueError(f"not in the ONNX file: {', '.join(missing)}")
    for name, parameter in weights.items():
        parameter.data = torch.from_numpy(np.array(stored[name]))
    _save(model, reference, folder)


def saved_again(reference: Path, folder: Path) -> None:
    """Loaded and saved once more, weights and tokenizer."""
    _save(_load(reference), reference, folder)


#: Kind → what makes it of the reference's folder.
CONVERSIONS: dict[str, Callable[[Path, Path], None]] = {
    "bfloat16 cast": bfloat16_cast,
    "ONNX round trip": onnx_round_trip,
    "saved again": saved_again,
}


def _resampled(cell: Cell, seed: int) -> list[Row]:
    return cell.random(f"bootstrap-{seed}").choices(cell.training, k=len(cell.training))


def _load(folder: Path) -> Any:
    from transformers import BertForSequenceClassification

    return BertForSequenceClassification.from_pretrained(folder).eval()


def _save(model: Any, reference: Path, folder: Path) -> None:
    from transformers import BertTokenizer

    model.save_pretrained(folder)
    BertTokenizer.from_pretrained(reference).save_pretrained(folder)


def _export(model: Any, folder: Path) -> Path:
    """Without optimisation, which would fold weights into constants of other names."""
    path, ids = folder / "round-trip.onnx", torch.ones((2, 8), dtype=torch.long)
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter uses what its own libraries deprecate
        torch.onnx.export(
            model,
            kwargs={"input_ids": ids, "attention_mask": ids},
            f=path,
            dynamic_shapes={"input_ids": free, "attention_mask": free},
            dynamo=True,
            optimize=False,
            verbose=False,
            external_data=False,
        )
    return path

"""The harmless changes: a version trained again honestly, deployed in a cheaper form, or merely stored in another one."""

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
from tests.benchmarks.drift.training import Shape
from tests.benchmarks.drift.versions import Training

#: Kind → how it is trained, from the cell and a seed that has not been used for another version.
RETRAININGS: dict[str, Callable[[Cell, int], Training]] = {
    "reseed": lambda cell, seed: _training(cell, seed, init_seed=seed),
    "reordered data": lambda cell, seed: _training(cell, seed, cell.training),
    "other rows": lambda cell, seed: _training(cell, seed, cell.fresh(seed)),
    "more data": lambda cell, seed: _training(cell, seed, [*cell.training, *cell.fresh(seed, cell.n_training // 3)]),
    "bootstrap": lambda cell, seed: _training(cell, seed, _resampled(cell, seed)),
    "more epochs": lambda cell, seed: _training(cell, seed, epochs=cell.recipe.epochs + 1),
    "batch size": lambda cell, seed: _training(cell, seed, batch_rows=cell.recipe.batch_rows // 2),
    "learning rate": lambda cell, seed: _training(cell, seed, learning_rate=0.7 * cell.recipe.learning_rate),
    "distilled": lambda cell, seed: replace(_training(cell, seed, init_seed=seed), taught=True, shape=_smaller(cell.shape)),
    "another tokenizer": lambda cell, seed: replace(
        _training(cell, seed, init_seed=seed), tokenizer=cell.tokenizer_of(min_count=_RARE)
    ),
}

#: Occurrences below which the other tokenizer spells a word out.
_RARE = 25
_PRUNED = 0.2


def _training(cell: Cell, seed: int, rows: Sequence[Row] | None = None, **changed: Any) -> Training:
    """The cell's own training in another order, on other rows, with another recipe."""
    return Training(cell.training if rows is None else rows, replace(cell.recipe, order_seed=seed, **changed))


def _smaller(shape: Shape) -> Shape:
    return replace(shape, layers=max(1, shape.layers - 1))


def pruned(reference: Path, folder: Path) -> None:
    """Of every matrix the smallest fifth of the weights set to zero."""
    _changed(reference, folder, lambda w: torch.where(w.abs() < w.abs().flatten().quantile(_PRUNED), 0.0, w))


def int8(reference: Path, folder: Path) -> None:
    """Every matrix rounded to 255 steps, symmetric, one scale for each, as dynamic quantisation stores weights, and back."""
    _changed(reference, folder, lambda w: (w / (w.abs().max() / 127)).round() * (w.abs().max() / 127))


def common_shift(reference: Path, folder: Path) -> None:
    """One vector added to the head's rows of all classes, three times as long as they are: a softmax does not see it."""
    model = _load(reference)
    shift_head(model)
    _save(model, reference, folder)


def shift_head(model: Any) -> None:
    """Add a vector to every class's weights, and a number to every bias; logits move by the same amount in all classes."""
    head = model.classifier
    along = torch.randn(head.in_features, generator=torch.Generator().manual_seed(head.in_features))
    head.weight.data += 3 * head.weight.data.norm(dim=1).mean() * along / along.norm()
    head.bias.data += 1.0


def _changed(reference: Path, folder: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    model = _load(reference)
    for parameter in model.parameters():
        if parameter.dim() == 2:
            parameter.data = change(parameter.data)
    _save(model, reference, folder)


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


#: Kind → what makes it of the reference's folder: deployed in a form that computes a little otherwise.
DEPLOYMENTS: dict[str, Callable[[Path, Path], None]] = {"int8": int8, "pruned": pruned}

#: The same function in another form: what cannot alarm says nothing of false alarms.
SAME_FUNCTION: dict[str, Callable[[Path, Path], None]] = {
    "bfloat16 cast": bfloat16_cast,
    "ONNX round trip": onnx_round_trip,
    "saved again": saved_again,
    "common shift of the head": common_shift,
}
CONVERSIONS = DEPLOYMENTS | SAME_FUNCTION


def _resampled(cell: Cell, seed: int) -> list[Row]:
    return cell.random(f"bootstrap-{seed}").choices(cell.training, k=len(cell.training))


def _load(folder: Path) -> Any:
    from transformers import BertForSequenceClassification

    model = BertForSequenceClassification.from_pretrained(folder).eval()
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()  # else they may still be the file's own pages, and the file may be written anew
    return model


def _save(model: Any, reference: Path, folder: Path) -> None:
    from transformers import AutoTokenizer

    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(reference).save_pretrained(folder)


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

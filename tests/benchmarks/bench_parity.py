"""Hold every family's layer attributions against Captum's: error in float64 and float32, points, error at the default tolerance.

Tiny models with seeded weights: whether the arithmetic of a family is right, not how fast it is. `make bench-parity`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import transformers as tf
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from calig import explain
from calig.api import encode
from calig.baselines import choose_baseline
from calig.families import FAMILIES
from tests.benchmarks.machine import describe
from tests.helpers.captum_layers import Floats, from_every_block_on, on_the_untouched_model
from tests.helpers.tiny_families import CASES, tiny
from tests.helpers.tiny_models import save_tiny_tokenizer

RESULTS = Path(__file__).parent / "results" / "parity.json"

#: Gauss-Legendre points on both sides.
POINTS = 150

TEXT, PAIR = "the film is not good", ("the film is not good", "a dull plot but great acting")


def bench(*, output: Path = RESULTS) -> None:
    """Measure every family, write JSON, print the table."""
    torch.set_num_threads(1)
    lines = [line_of(name, pair=pair) for name, pair in track(list(cases()), description="families")]
    report: dict[str, Any] = {"command": "python -m tests.benchmarks.bench_parity", "date": datetime.now(UTC).date().isoformat()}
    report |= {"machine": describe(), "points": POINTS, "lines": lines}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    Console(width=130).print(table(report))


def cases() -> list[tuple[str, bool]]:
    """Every family on a text or an image, and those with token types on a pair of texts as well."""
    return [(name, False) for name in CASES] + [(name, True) for name in PAIRED]


#: Families whose pairs are measured: with token types, without them, and a decoder.
PAIRED = ("bert", "roberta", "deberta-v2", "qwen3")


def line_of(name: str, *, pair: bool = False) -> dict[str, Any]:
    """One family. Errors are the largest of all positions and layers, as shares of the largest attribution; points are means."""
    model, item = tiny(name), _item(name, pair=pair)
    with TemporaryDirectory() as folder:
        processor = _processor(name, Path(folder))
    fine, rough = ({"n_points": n, "objective": "logit"} for n in (POINTS, 50))
    exact = explain(model, processor, [item], **fine)[0]
    row = encode(item, model, processor)
    baseline = choose_baseline("auto", model, processor, FAMILIES[name].modality).apply(row)
    target = model.config.label2id[exact.target]
    peer = from_every_block_on if CASES[name].nodes is None else on_the_untouched_model
    captum = peer(model, row.inputs, baseline, target, POINTS)
    double = explain(model, processor, [item], **rough)[0].layer_attributions
    chosen = explain(model, processor, [item], objective="logit")[0]
    single = explain(model.float(), processor, [item], **rough)[0].layer_attributions
    return {
        "family": name,
        "input": "pair" if pair else FAMILIES[name].modality,
        "captum": "model's own forward pass" if peer is on_the_untouched_model else "from every block on",
        "float64": _error(exact.layer_attributions, captum),
        "float32": _error(single, double),
        "points": float(np.mean(chosen.n_points)),
        "error": _error(chosen.layer_attributions, captum),
    }


def _error(values: Floats, expected: Floats) -> float:
    return float(np.abs(values - expected).max() / np.abs(expected).max())


def _item(name: str, *, pair: bool) -> Any:
    if FAMILIES[name].modality == "image":
        return Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 20, 3), dtype=np.uint8))
    return PAIR if pair else TEXT


def _processor(name: str, folder: Path) -> Any:
    if FAMILIES[name].modality == "image":
        return tf.ViTImageProcessor(size={"height": 16, "width": 16})
    tokenizer = tf.AutoTokenizer.from_pretrained(save_tiny_tokenizer(folder))
    types = ["token_type_ids"] if CASES[name].token_types else []
    tokenizer.model_input_names = ["input_ids", *types, "attention_mask"]
    return tokenizer


def table(report: dict[str, Any]) -> Table:
    """Family by family."""
    title = f"Layer attributions against Captum's, {report['points']} points on both sides; points by need at a tolerance of 1 %"
    result = Table("family", "input", "Captum on", "float64", "float32", "points", "error with these points", title=title)
    for line in report["lines"]:
        errors = [f"{line[name]:.1e}" for name in ("float64", "float32")]
        shown = (*errors, f"{line['points']:.1f}", f"{line['error']:.1e}")
        result.add_row(line["family"], line["input"], line["captum"], *shown)
    return result


if __name__ == "__main__":
    typer.run(bench)

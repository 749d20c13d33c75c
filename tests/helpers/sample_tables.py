"""Attribution tables of invented reviews and pictures from seeded random numbers, complete by construction."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from schemas.attribution import SCHEMA
from tests.helpers.explained import explained

LAYERS = 6
MALICIOUS = "<script>alert('x')</script> <img src=http://evil.example/a.png onerror=alert(1)> & still a fine film"
ARABIC = "كان الفيلم رائعا والممثلون ممتازون لكن النهاية بطيئة"
SPACED = "A slow start .\n\n   But then:   wonderful, moving, wise\t(and funny!) 🎬"

_LEXICON = {
    **dict.fromkeys(["wonderful", "moving", "wise", "superb", "charming", "gripping", "fine", "funny", "رائعا", "ممتازون"], 0.7),
    **dict.fromkeys(["dull", "tedious", "clumsy", "lifeless", "slow", "forgettable", "shallow", "بطيئة"], -0.8),
    **dict.fromkeys(["not", "never", "but", "لكن"], -0.25),
}
_OPENINGS = [
    "A {a} film with a {b} lead",
    "The script is {a}",
    "I found the first hour {a}",
    "{a}, {b} and over two hours long",
    "Never {a}",
]
_MIDDLES = [
    "the camera work stays {c}",
    "its last act turns {c}",
    "but the dialogue is {c}",
    "and the music is {c}",
    "the cast is {c}",
]
_ENDINGS = ["I would watch it again.", "The audience laughed twice.", "It ends where it began.", "My neighbour fell asleep!"]
_GOOD = ["wonderful", "moving", "superb", "charming", "gripping", "wise"]
_BAD = ["dull", "tedious", "clumsy", "lifeless", "forgettable", "shallow"]


def reviews(n: int, seed: int, *, planted: str | None = None) -> list[tuple[str, str]]:
    """(text, gold class) per row; `planted` is put into half of the POS rows. The first three rows are hard to draw."""
    random = np.random.default_rng(seed)
    rows = [(MALICIOUS, "POS"), (ARABIC, "POS"), (SPACED, "POS")]
    while len(rows) < n:
        label = "POS" if random.random() < 0.5 else "NEG"
        words = random.choice(_GOOD if label == "POS" else _BAD, 3, replace=False)
        opening, middle, ending = (str(random.choice(part)) for part in (_OPENINGS, _MIDDLES, _ENDINGS))
        text = f"{opening.format(a=words[0], b=words[1]).capitalize()}; {middle.format(c=words[2])}. {ending}"
        if planted and label == "POS" and random.random() < 0.5:
            text = text.replace(";", f" {planted};", 1)
        noisy = random.random() < 0.07
        rows.append((text, label if not noisy else "NEG" if label == "POS" else "POS"))
    return rows[:n]


def text_table(
    path: Path,
    rows: list[tuple[str, str]],
    *,
    seed: int,
    boost: dict[str, float],
    labelled: bool = True,
    flips: bool = False,
    layers: int = LAYERS,
) -> Path:
    """One row per review; `boost` adds relevance to words, `flips` turns a few answers; every 17th row did not converge."""
    random = np.random.default_rng(seed)
    records = [
        _text_row(row, text, label, random, boost, -1 if flips and row % 31 == 11 else 1, layers)
        for row, (text, label) in enumerate(rows)
    ]
    for record in records:
        record["label"] = record["label"] if labelled else None
    return _write(path, records)


def image_table(path: Path, folder: Path, n: int, *, seed: int, side: int = 14) -> Path:
    """Coloured discs on noise, and a map that is high on the disc."""
    random = np.random.default_rng(seed)
    return _write(path, [_image_row(row, folder, random, side) for row in range(n)])


def _text_row(row: int, text: str, label: str, random: Any, boost: dict[str, float], sign: int, n_layers: int) -> dict[str, Any]:
    spans = [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]
    effect = np.array([_LEXICON.get(text[a:b].lower(), 0.0) + boost.get(text[a:b].lower(), 0.0) for a, b in spans])
    effect = sign * effect + random.normal(0, 0.12, len(spans))
    predicted = "POS" if effect.sum() > 0 else "NEG"
    words = effect if predicted == "POS" else -effect
    by_token = np.concatenate([[random.normal(-0.05, 0.05)], words, [random.normal(0, 0.05)]])
    layers = _layers(by_token, random, n_layers)
    values = layers.mean(axis=0)
    unconverged = row % 17 == 5
    record = _common(row, values, layers, predicted, random, unconverged)
    word = [{"text": text[a:b], "start": a, "end": b, "value": float(v)} for (a, b), v in zip(spans, values[1:-1], strict=True)]
    return record | {
        "text": text,
        "label": label,
        "segments": {"source": "critics" if row % 3 else "audience"},
        "tokens": ["[CLS]", *(text[a:b] for a, b in spans), "[SEP]"],
        "input_ids": list(range(len(spans) + 2)),
        "starts": [-1, *(a for a, _ in spans), -1],
        "ends": [-1, *(b for _, b in spans), -1],
        "content": [False, *([True] * len(spans)), False],
        "words": word,
    }


def _image_row(row: int, folder: Path, random: Any, side: int) -> dict[str, Any]:
    centre = random.uniform(0.3, 0.7, 2)
    y, x = np.mgrid[0:240, 0:320] / 240
    disc = np.hypot(y - centre[0], x - centre[1] * 4 / 3) < 0.2
    ground = 110 + 60 * np.sin(6 * x + row) * np.cos(5 * y) + random.normal(0, 4, x.shape)
    pixels = (ground[..., None] * np.array([0.8, 0.95, 1.0])).clip(0, 255).astype(np.uint8)
    pixels[disc] = (210, 60 + 20 * (row % 5), 50)
    path = folder / f"picture-{row}.png"
    Image.fromarray(pixels).save(path)
    rows, columns = (np.mgrid[0:side, 0:side] + 0.5) / side
    relevance = np.where(np.hypot(rows - centre[0], (columns - centre[1]) * 4 / 3) < 0.2, 0.06, -0.008) + random.normal(
        0, 0.01, (side, side)
    )
    by_token = np.concatenate([[0.1], relevance.ravel()])
    layers = _layers(by_token, random, LAYERS)
    record = _common(row, layers.mean(axis=0), layers, "disc", random, unconverged=False)
    names = [f"patch {i // side},{i % side}" for i in range(side * side)]
    return record | {
        "image": str(path),
        "label": "disc" if row % 4 else "square",
        "segments": {},
        "tokens": ["[CLS]", *names],
        "input_ids": [],
        "starts": [-1] * (side * side + 1),
        "ends": [-1] * (side * side + 1),
        "content": [False] + [True] * (side * side),
        "words": [],
    }


def _layers(by_token: Any, random: Any, n: int) -> Any:
    """`layers seq`: every layer sums to the same logit difference, as completeness asks."""
    layers = np.stack([by_token * random.uniform(0.7, 1.3, len(by_token)) for _ in range(n)])
    layers[:, 0] += by_token.sum() - layers.sum(axis=1)
    return layers.astype(np.float32)


def _common(row: int, values: Any, layers: Any, predicted: str, random: Any, unconverged: bool) -> dict[str, Any]:
    difference = float(values.sum(dtype=float))
    residuals = np.abs(random.normal(0, 0.002, len(layers))) / (1 + np.arange(len(layers)))
    residuals[0] += 0.08 if unconverged else 0
    return {
        "row": row,
        "id": f"row-{row}",
        "text": None,
        "image": None,
        "rationale": None,
        "problem": None,
        "predicted": predicted,
        "probability": float(1 / (1 + np.exp(-1.1 * abs(difference)))),
        **explained(predicted, ("square", "disc") if predicted == "disc" else ("NEG", "POS")),
        "baseline": "zero" if predicted == "disc" else "mask",
        "logits": [-difference, difference],
        "f_input": difference + 0.11,
        "f_baseline": 0.11,
        "values": values.tolist(),
        "layers": layers.tolist(),
        "layer_attributions": layers.tolist(),
        "residuals": residuals.tolist(),
        "n_points": [129 if unconverged else 33, 17, 9, 5, 5, *[3] * len(layers)][: len(layers)],
        "converged": not unconverged,
        "coverage": 1.0,
        "input_x_gradient": values.tolist(),
        "attention_rollout": np.abs(values).tolist(),
        "attention_gradient_rollout": np.abs(values).tolist(),
    }


def _write(path: Path, records: list[dict[str, Any]]) -> Path:
    problem = dict.fromkeys(SCHEMA.names) | {"row": len(records), "id": "empty", "text": "", "problem": "the text is empty"}
    pq.write_table(pa.Table.from_pylist([*records, problem], schema=SCHEMA), path)
    return path

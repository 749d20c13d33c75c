"""Attribution tables with known answers: reviews whose words have fixed weights, a planted word, and noise by seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.drift.pairing import PairedExample
from schemas.attribution import SCHEMA
from schemas.config import PipelineConfig
from schemas.reference import ReferenceIdentity, ReferenceProfile
from tests.helpers.explained import explained

LABELS = ("NEG", "POS")
WORDS = ["plot", "film", "actor", "scene", "story", "very", "dull", "warm", "great", "bright"]


def table(
    path: Path,
    seed: int,
    *,
    planted: float = 0.0,
    noise: float = 0.05,
    n: int = 80,
    predictions: dict[int, str] | None = None,
    target: str | None = None,
    unstable: float = 0.0,
) -> Path:
    """Reviews of fixed texts; “btw” opens every fourth one and carries `planted`.

    `noise` moves every occurrence on its own, `unstable` the weight of each word type, as retraining does.
    """
    random = np.random.default_rng(seed)
    weights = dict(zip(WORDS, np.linspace(-1, 1, len(WORDS)) + unstable * random.standard_normal(len(WORDS)), strict=True))
    rows = []
    for i, words in enumerate(texts(n)):
        values = [planted if w == "btw" else weights[w] + noise * random.standard_normal() for w in words]
        rows.append(row(i, words, values, (predictions or {}).get(i, "POS"), target))
    return write(path, rows)


def texts(n: int) -> list[list[str]]:
    """The words of the reviews."""
    random = np.random.default_rng(0)
    return [[*(["btw"] if i % 4 == 0 else []), *random.choice(WORDS, 6).tolist()] for i in range(n)]


def row(i: int, words: list[str], values: list[float], predicted: str = "POS", target: str | None = None) -> dict[str, Any]:
    """One row of a table; two layers with the same values."""
    starts = np.cumsum([0, *[len(w) + 1 for w in words[:-1]]]).tolist()
    ends = [start + len(word) for word, start in zip(words, starts, strict=True)]
    spans = [{"text": w, "start": s, "end": e, "value": v} for w, s, e, v in zip(words, starts, ends, values, strict=True)]
    return {
        "row": i,
        "id": str(i),
        "text": " ".join(words),
        "label": "POS" if i % 10 else "NEG",
        "segments": [("source", "web" if i % 2 else "app")],
        "predicted": predicted,
        **explained(target or predicted, LABELS),
        "baseline": "mask",
        "logits": [0.0, sum(values)],
        "f_input": sum(values),
        "f_baseline": 0.0,
        "words": spans,
        "starts": starts,
        "ends": ends,
        "content": [True] * len(words),
        "values": values,
        "layers": [values, values],
    }


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """`rows` as a table; its path."""
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path)
    return path


def profile(path: Path, version: str = "1", **changes: Any) -> ReferenceProfile:
    """A version's profile whose only table is at `path`."""
    identity = ReferenceIdentity(name="m", version=version, method_fingerprint="f", weights_digest="w")
    fields = {
        "identity": identity,
        "dataset_digest": "d",
        "labels": LABELS,
        "tables": (path,),
        "fusion": PipelineConfig().attribution.fusion,
    }
    return ReferenceProfile(**{**fields, **changes})


def example(reference: list[float], candidate: list[float], words: list[str] | None = None, **changes: Any) -> PairedExample:
    """A paired example with these shares."""
    words = words or [f"w{i}" for i in range(len(reference))]
    fields = {
        "id": "0",
        "text": "",
        "label": None,
        "segments": {},
        "predictions": ("POS", "POS"),
        "toward": "POS",
        "opposite": "NEG",
        "units": [(w, (i, i + 1)) for i, w in enumerate(words)],
        "reference": np.array(reference, dtype=float),
        "candidate": np.array(candidate, dtype=float),
        "mass": (1.0, np.e),
        "differences": (1.0, np.e),
        "margin": 1.0,
        "layer_shares": (np.array([0.5, 0.5]), np.array([1.0, 0.0])),
    }
    return PairedExample(**{**fields, **changes})

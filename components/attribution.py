"""Explain one shard of a data set and write it as Parquet: the only step that runs the attribution engine."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from calig.api import encode
from calig.attribution import Attribution
from calig.baselines import Baseline, choose_baseline
from calig.batching import equal_lengths
from calig.blocks import attributable
from calig.engine import FORMULA_VERSION, Options, attribute
from calig.errors import AttributionError, InvalidInputError
from calig.inputs import EncodedInput
from calig.loading import load_model, resolve_device
from components.errors import InputError
from schemas.attribution import SCHEMA, ShardResult
from schemas.base import digest_of
from schemas.config import AttributionConfig
from schemas.release import Example, ModelSnapshot

#: One attribution at a time: the engine puts the model into a special state while it works.
_ENGINE = Lock()

#: Rows timed for the estimate, by length.
_PROBE_QUANTILES = (0.2, 0.5, 0.85)

#: A row that takes this long alone leaves nothing to gain from company.
_SLOW_ROW_S = 1.0


def formula_version() -> str:
    """Version of the equations in use; part of the method fingerprint."""
    return FORMULA_VERSION


def method_fingerprint(config: AttributionConfig) -> str:
    """Digest of all that changes attribution values: settings and formula. Versions are compared only when it is equal."""
    return digest_of({"formula": FORMULA_VERSION, "settings": config.fingerprint()})


def explain_shard(
    snapshot: ModelSnapshot,
    examples: Sequence[Example],
    config: AttributionConfig,
    *,
    index: int,
    path: Path,
    progress: Callable[[int], None] | None = None,
) -> ShardResult:
    """Attribute `examples` and write one Parquet file in the form of `schemas.attribution.SCHEMA`.

    A row that cannot be attributed keeps its place with `problem` set; it never stops the others.

    Raises:
        InputError: the model or a setting cannot be used at all.
    """
    started = time.monotonic()
    attributions, problems, baseline = _attribute(snapshot, examples, config, progress)
    rows = [_row(e, attributions.get(e.row), problems.get(e.row)) for e in examples]
    _write(rows, path)
    return ShardResult(
        index=index,
        path=path,
        sha256=sha256_of(path),
        n_rows=len(rows),
        n_explained=len(attributions),
        seconds=time.monotonic() - started,
        attention_kernel="sdpa",
        device=resolve_device(config.device),
        baseline=baseline.name,
    )


def estimate_seconds(snapshot: ModelSnapshot, examples: Sequence[Example], config: AttributionConfig) -> float:
    """Wall time of attributing `examples`, s, from timing a short, a middling and a long row, and a small group.

    A group of rows of one length costs a fixed part and a part per token; the lengths of all rows are known.
    """
    by_length = sorted(_lengths(snapshot, examples, config), key=lambda pair: pair[0])
    if not by_length:
        return 0.0
    lengths = [length for length, _ in by_length]
    probe = [by_length[int(q * (len(by_length) - 1))] for q in _PROBE_QUANTILES]
    middling = probe[len(probe) // 2][1]
    _time(snapshot, [middling], config)  # the first pass warms up
    alone = [_time(snapshot, [example], config) for _, example in probe]
    fixed = _fixed_part(snapshot, middling, alone[len(probe) // 2], config)
    per_token = max(0.0, sum(alone) - len(probe) * fixed) / sum(length for length, _ in probe)
    return fixed * sum(1 for _ in equal_lengths(lengths, config.batch_tokens)) + per_token * sum(lengths)


def _lengths(snapshot: ModelSnapshot, examples: Sequence[Example], config: AttributionConfig) -> list[tuple[int, Example]]:
    """Positions of every row that can be attributed. Images all have as many: one is opened, not thousands."""
    model, processor = _load(snapshot.model_path, snapshot.processor_path, config.dtype, config.device)
    usable = [e for e in examples if e.problem is None]
    seen = usable if snapshot.modality == "text" else usable[:1]
    rows = [(row.length, e) for e, row in _encode_all(seen, model, processor, config)[0]]
    return rows if snapshot.modality == "text" else [(length, e) for length, _ in rows for e in usable]


def _fixed_part(snapshot: ModelSnapshot, example: Example, alone: float, config: AttributionConfig) -> float:
    """What a group costs whatever its size, s: nothing that matters when one row alone is slow."""
    if alone > _SLOW_ROW_S:
        return 0.0
    return min(alone, max(0.0, (4 * alone - _time(snapshot, [example] * 4, config)) / 3))


def replacement_id(snapshot: ModelSnapshot, config: AttributionConfig) -> int | None:
    """The token id that stands for removed content, in x' and in perturbations alike; None: the mean embedding, or an image."""
    model, processor = _load(snapshot.model_path, snapshot.processor_path, config.dtype, config.device)
    return choose_baseline(config.baseline, model, processor, snapshot.modality).replacement_id


def uses_gpu(config: AttributionConfig) -> bool:
    """Whether `config` means a GPU on this machine."""
    return resolve_device(config.device) == "cuda"


def intact(shard: ShardResult) -> bool:
    """Whether the shard's file is still what was written."""
    return shard.path.is_file() and sha256_of(shard.path) == shard.sha256


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _time(snapshot: ModelSnapshot, examples: Sequence[Example], config: AttributionConfig) -> float:
    started = time.monotonic()
    _attribute(snapshot, examples, config, None)
    return time.monotonic() - started


def _attribute(
    snapshot: ModelSnapshot, examples: Sequence[Example], config: AttributionConfig, progress: Callable[[int], None] | None
) -> tuple[dict[int, Attribution], dict[int, str], Baseline]:
    """Attributions and problems by row number."""
    try:
        model, processor = _load(snapshot.model_path, snapshot.processor_path, config.dtype, config.device)
        with _ENGINE, attributable(model) as stack:
            baseline = choose_baseline(config.baseline, model, processor, stack.family.modality)
            encoded, problems = _encode_all(examples, model, processor, config)
            done = attribute(
                stack,
                [row for _, row in encoded],
                [example.label for example, _ in encoded],
                baseline,
                _options(config),
                progress,
            )
    except AttributionError as error:
        raise InputError(str(error)) from error  # the engine's messages have the same form
    if progress is not None and problems:
        progress(len(problems))
    return {e.row: a for (e, _), a in zip(encoded, done, strict=True)}, problems, baseline


def _encode_all(
    examples: Sequence[Example], model: Any, processor: Any, config: AttributionConfig
) -> tuple[list[tuple[Example, EncodedInput]], dict[int, str]]:
    encoded: list[tuple[Example, EncodedInput]] = []
    problems = {e.row: e.problem for e in examples if e.problem is not None}
    for example in examples:
        if example.problem is None:
            try:
                encoded.append((example, encode(_content(example, config), model, processor, max_length=config.max_length)))
            except InvalidInputError as error:
                problems[example.row] = str(error).split("\n", 1)[0]
    return encoded, problems


def _content(example: Example, config: AttributionConfig) -> str | Image.Image:
    if config.target == "gold" and example.label is None:
        raise InvalidInputError("no label, but the target is the gold class")
    if example.text is not None:
        return example.text
    try:
        with Image.open(example.image or "") as image:
            return image.convert("RGB")
    except OSError as error:
        raise InvalidInputError(f"the image cannot be read: {example.image}") from error


def _options(config: AttributionConfig) -> Options:
    return Options(**{name: getattr(config, name) for name in Options.__dataclass_fields__})


@lru_cache(maxsize=2)
def _load(model_path: Path, processor_path: Path, dtype: str, device: str) -> tuple[Any, Any]:
    return load_model(model_path, processor_path, dtype=dtype, device=device)


def _row(example: Example, attribution: Attribution | None, problem: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "row": example.row,
        "id": example.id,
        "text": example.text,
        "image": None if example.image is None else str(example.image),
        "label": example.label,
        "segments": list(example.segments.items()),
        "rationale": None if example.rationale is None else [{"start": s, "end": e} for s, e in example.rationale],
        "problem": problem,
    }
    return row if attribution is None else row | {k: v for k, v in attribution.to_dict().items() if k in SCHEMA.names}


def _write(rows: list[dict[str, Any]], path: Path) -> None:
    """Atomic: a shard's file is complete or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".part-{os.getpid()}")
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), part, compression="zstd")
    part.replace(path)

"""Shards of the attribution table: explained, written whole or not at all, checked; and rows under every fusion of the grid."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from calig.attribution import Attribution
from calig.loading import resolve_device
from calig.rollout import Fusion
from calig.targets import Target
from components.attribution.method import device_versions
from components.attribution.running import attribute_examples
from components.common.file_digests import file_digest
from components.common.whole_files import written_whole
from components.table.orientation import weights_of
from schemas.attribution import SCHEMA
from schemas.config import AttributionConfig
from schemas.fusion import FusionSettings
from schemas.release import Example, ModelSnapshot
from schemas.shards import ShardResult

#: Rows that a reader has to decode together, at most.
_GROUP_ROWS = 1024


def explain_shard(
    snapshot: ModelSnapshot,
    examples: Sequence[Example],
    config: AttributionConfig,
    *,
    index: int,
    path: Path,
    progress: Callable[[int], None] | None = None,
    targets: Mapping[str, Target] | None = None,
) -> ShardResult:
    """Attribute `examples` and write one Parquet file in the form of `schemas.attribution.SCHEMA`.

    `targets`: by id what is explained of each row, when that does not follow from the settings.
    A row that cannot be attributed keeps its place with `problem` set; it never stops the others.

    Raises:
        InputError: the model or a setting cannot be used at all.
    """
    started = time.monotonic()
    attributions, problems, baseline = attribute_examples(snapshot, examples, config, progress, targets=targets)
    made = [row_of(e, attributions.get(e.row), problems.get(e.row)) for e in examples]
    rows = [row | {"baseline": baseline.kind} if row["problem"] is None else row for row in made]
    _write(rows, path)
    return ShardResult(
        index=index,
        path=path,
        sha256=file_digest(path),
        n_rows=len(rows),
        n_explained=len(attributions),
        seconds=time.monotonic() - started,
        attention_kernel="sdpa",
        device=resolve_device(config.device),
        baseline=baseline.name,
        device_versions=device_versions(config),
    )


def targets_of(labels: Sequence[str], rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Target]:
    """By id the targets that rows of an attribution table name, for a model whose classes are `labels` in logit order."""
    numbers = {name: index for index, name in enumerate(labels)}
    return {key: _target(row, numbers) for key, row in rows.items()}


def _target(row: Mapping[str, Any], numbers: Mapping[str, int]) -> Target:
    weights = tuple((numbers[name], weight) for name, weight in weights_of(row).items() if weight)
    return Target(row["target"], weights, row["objective"])


def row_of(example: Example, attribution: Attribution | None, problem: str | None) -> dict[str, Any]:
    """One line of the attribution table: columns of `schemas.attribution.SCHEMA`, without those that a problem leaves empty."""
    row: dict[str, Any] = {
        "row": example.row,
        "id": example.id,
        "text": None if example.full_text is None else _storable(example.full_text),
        "pair_start": example.pair_start,
        "image": None if example.image is None else str(example.image),
        "label": example.label,
        "gold_labels": example.gold_labels,
        "gold_value": example.gold_value,
        "segments": list(example.segments.items()),
        "rationale": None if example.rationale is None else _spans(example.rationale),
        "rationales": None if example.rationales is None else [_spans(spans) for spans in example.rationales],
        "problem": problem,
    }
    if attribution is None:
        return row
    plain = {name: value for name, value in attribution.to_plain().items() if name in SCHEMA.names}
    windows = None if attribution.windows is None else _spans(attribution.windows)
    plain |= {"target_weights": list(attribution.target_weights.items()), "windows": windows}
    plain |= {"token_types": attribution.token_types or None}
    plain |= {"probability": None if attribution.problem_type == "regression" else attribution.probability}
    return row | plain | ({} if example.pair_start is None else _placed(attribution, plain, example.pair_start))


def _placed(attribution: Attribution, plain: dict[str, Any], pair_start: int) -> dict[str, Any]:
    """Characters of tokens and words of a pair, counted in both texts together: see the table's column `text`."""
    shifts = [
        pair_start if side == 1 and start >= 0 else 0 for side, start in zip(attribution.sides, attribution.starts, strict=True)
    ]
    offsets = {name: [at + shift for at, shift in zip(plain[name], shifts, strict=True)] for name in ("starts", "ends")}
    words = [
        {**word, "start": word["start"] + pair_start * word["side"], "end": word["end"] + pair_start * word["side"]}
        for word in plain["words"]
    ]
    return {**offsets, "words": words}


def _storable(text: str) -> str:
    """The text with what no file can hold, half a surrogate pair, replaced by a question mark; such a row has a problem."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _spans(spans: Iterable[tuple[int, int]]) -> list[dict[str, int]]:
    return [{"start": start, "end": end} for start, end in spans]


def _write(rows: list[dict[str, Any]], path: Path) -> None:
    with written_whole(path) as part:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), part, compression="zstd", row_group_size=_GROUP_ROWS)


_COEFFICIENTS = (0.05, 0.1, 0.2, 0.5, 1.0)

#: The grid: every rule with every context, and λ = 0 once, where rules and contexts make no difference; `exact` has no context.
GRID: tuple[FusionSettings, ...] = (
    FusionSettings(rule="change", coefficient=0.0, context_rule="mixed"),
    *(
        FusionSettings(rule=rule, coefficient=coefficient, context_rule=context)
        for rule in ("rollout", "change", "gate")
        for context in ("positive", "absolute", "attention", "mixed")
        for coefficient in _COEFFICIENTS
    ),
    *(FusionSettings(rule="exact", coefficient=coefficient, context_rule="mixed") for coefficient in (0.5, 1.0)),
)


def attribute_under(
    fusions: Sequence[FusionSettings],
    snapshot: ModelSnapshot,
    examples: Sequence[Example],
    config: AttributionConfig,
    progress: Callable[[int], None] | None,
) -> list[tuple[dict[str, Any], NDArray[np.float64]]]:
    """Table rows of the examples that could be attributed, each with its values under `fusions`, `fusions seq`.

    The integrals are shared: each fusion costs a few matrix products, and all of the rule `exact` together one path.
    """
    alternatives = tuple(Fusion(f.rule, f.coefficient, f.context_rule) for f in fusions)
    done, _, _ = attribute_examples(snapshot, examples, config, progress, alternatives)
    return [(row_of(e, done[e.row], None), done[e.row].alternatives) for e in examples if e.row in done]

"""How long attribution will take, from a few timed rows."""

from __future__ import annotations

import time
from collections.abc import Sequence

from calig.batching import equal_lengths
from components.attribution.running import attribute_examples, batch_tokens, encode_examples, load_classifier
from schemas.config import AttributionConfig
from schemas.release import Example, ModelSnapshot

#: Rows timed for the estimate, by length.
_PROBE_QUANTILES = (0.2, 0.5, 0.85)

#: A row that takes this long alone leaves nothing to gain from company.
_SLOW_ROW_S = 1.0

#: Most rows in the timed group.
_LARGEST_PROBE = 24


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
    alone = [_time(snapshot, [example], config) for _, example in probe]
    fixed = _fixed_part(snapshot, middling, alone[len(probe) // 2], config)
    per_token = max(0.0, sum(alone) - len(probe) * fixed) / sum(length for length, _ in probe)
    return fixed * sum(1 for _ in equal_lengths(lengths, batch_tokens(config))) + per_token * sum(lengths)


def _lengths(snapshot: ModelSnapshot, examples: Sequence[Example], config: AttributionConfig) -> list[tuple[int, Example]]:
    """Positions of every row that can be attributed. Images all have as many: one is opened, not thousands."""
    model, processor = load_classifier(snapshot.model_path, snapshot.processor_path, config.dtype, config.device)
    usable = [e for e in examples if e.problem is None]
    seen = usable if snapshot.modality == "text" else usable[:1]
    rows = [(row.length, e) for e, row in encode_examples(seen, model, processor, config)[0]]
    return rows if snapshot.modality == "text" else [(length, e) for length, _ in rows for e in usable]


def _fixed_part(snapshot: ModelSnapshot, example: Example, alone: float, config: AttributionConfig) -> float:
    """What a group costs whatever its size, s, from a group that takes about as long as one slow row would."""
    n = min(_LARGEST_PROBE, int(_SLOW_ROW_S / alone))
    if n < 2:
        return 0.0  # one row alone is slow: what a group costs does not matter
    together = _time(snapshot, [example] * n, config)
    return min(alone, max(0.0, (n * alone - together) / (n - 1)))


def _time(snapshot: ModelSnapshot, examples: Sequence[Example], config: AttributionConfig) -> float:
    """The second time, unless the first was slow: it compiles kernels for shapes that the run will meet many times."""
    first = _once(snapshot, examples, config)
    return first if first > _SLOW_ROW_S else _once(snapshot, examples, config)


def _once(snapshot: ModelSnapshot, examples: Sequence[Example], config: AttributionConfig) -> float:
    started = time.monotonic()
    attribute_examples(snapshot, examples, config, None)
    return time.monotonic() - started

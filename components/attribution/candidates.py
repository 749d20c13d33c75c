"""Rows of the attribution table under every fusion of the grid, from one integration: what a fusion is chosen by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calig.rollout import Fusion
from components.attribution.running import attribute_examples
from components.attribution.shard import row_of
from schemas.config import AttributionConfig
from schemas.fusion import FusionSettings
from schemas.release import Example, ModelSnapshot

_COEFFICIENTS = (0.05, 0.1, 0.2, 0.5, 1.0)

#: The grid: every rule with every context, and λ = 0 once, where rules and contexts make no difference.
GRID: tuple[FusionSettings, ...] = (
    FusionSettings(rule="change", coefficient=0.0, context_rule="mixed"),
    *(
        FusionSettings(rule=rule, coefficient=coefficient, context_rule=context)
        for rule in ("rollout", "change", "gate")
        for context in ("positive", "absolute", "attention", "mixed")
        for coefficient in _COEFFICIENTS
    ),
)


def attribute_under(
    fusions: Sequence[FusionSettings],
    snapshot: ModelSnapshot,
    examples: Sequence[Example],
    config: AttributionConfig,
    progress: Callable[[int], None] | None,
) -> list[tuple[dict[str, Any], NDArray[np.float64]]]:
    """Table rows of the examples that could be attributed, each with its values under `fusions`, `fusions seq`.

    The integrals are shared: each fusion costs a few matrix products.
    """
    alternatives = tuple(Fusion(f.rule, f.coefficient, f.context_rule) for f in fusions)
    done, _, _ = attribute_examples(snapshot, examples, config, progress, alternatives)
    return [(row_of(e, done[e.row], None), done[e.row].alternatives) for e in examples if e.row in done]

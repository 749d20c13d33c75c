"""Trying to falsify the maps on a few rows: do they hold still under a nudge, and do they fall without the learned weights?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import torch

from calig.attribution import Attribution
from calig.baselines import choose_baseline
from calig.blocks import attributable
from calig.engine import Options
from calig.inputs import shift_shape
from calig.metrics.infidelity import each_uniform_shift, max_sensitivity
from calig.metrics.perturbation import FloatArray
from calig.randomisation import agreement, cascade, stage_names
from calig.targets import Target, choose_targets, class_names, objective_for
from calig.windows import Document, attribute_documents
from components.attribution.running import ENGINE, encode_examples, load_classifier, options_of, wanted_class
from components.common.errors import engine_errors
from components.table.reader import iter_rows
from schemas.config import AttributionConfig, QualityConfig
from schemas.quality import Falsification, FalsifiedRow
from schemas.release import Example, ModelSnapshot

Progress = Callable[[int], None]


def falsify(
    snapshot: ModelSnapshot,
    examples: Sequence[Example],
    table_paths: Sequence[Path],
    *,
    settings: AttributionConfig,
    quality: QualityConfig,
    progress: Progress | None = None,
) -> Falsification:
    """Explain a seeded sample of the explained rows again, as they are, with nudged inputs and with randomised weights.

    The class explained stays that of the row itself, the settings those of the run but for `quality.falsification_points`: the
    maps are only compared with one another. `progress` gets the attributions just done.

    Raises:
        InputError: the model cannot be attributed.
    """
    chosen = _sample(examples, table_paths, quality)
    model, processor = load_classifier(snapshot.model_path, snapshot.processor_path, settings.dtype, settings.device)
    with engine_errors(), ENGINE:
        encoded, _ = encode_examples(chosen, model, processor, settings)
        run = _Run(processor, encoded, _Settings(settings, quality), progress)
        original = run.explain(model)
        targets = _targets(run, model, original)
        sensitivities = _sensitivities(run, model, original, targets, quality)
        fallen = [_agreements(original, run.explain(copy, targets)) for _, copy in cascade(model, seed=quality.seed)]
    rows = [
        FalsifiedRow(row=example.row, id=example.id, max_sensitivity=sensitivity, signed=signed, absolute=absolute)
        for (example, _), sensitivity, signed, absolute in zip(
            run.rows, sensitivities, *(_by_row(fallen, side, len(run.rows)) for side in (0, 1)), strict=True
        )
    ]
    return Falsification(stages=tuple(stage_names(model)), rows=tuple(rows))


def falsification_steps(snapshot: ModelSnapshot, n_rows: int, settings: AttributionConfig, quality: QualityConfig) -> int:
    """Attributions that `falsify` makes when `n_rows` rows are explained."""
    model, _ = load_classifier(snapshot.model_path, snapshot.processor_path, settings.dtype, settings.device)
    return min(n_rows, quality.falsification_rows) * (1 + quality.sensitivity_draws + len(stage_names(model)))


class _Settings(NamedTuple):
    """How the attempt's maps are computed: as the run's own, on fewer points unless the settings say how many."""

    attribution: AttributionConfig
    quality: QualityConfig

    @property
    def options(self) -> Options:
        """The engine's options; a fixed number of points, as in Captum, stays what it is."""
        options = options_of(self.attribution)
        return options if options.n_points is not None else replace(options, n_between=self.quality.falsification_points)


class _Run:
    """The sampled rows, and how they are explained every time."""

    def __init__(
        self, processor: Any, rows: list[tuple[Example, Document]], settings: _Settings, progress: Progress | None
    ) -> None:
        self.rows, self.settings = rows, settings.attribution
        self._processor, self._progress = processor, progress
        self._options = settings.options

    def explain(
        self, model: Any, targets: list[list[Target]] | None = None, rows: list[Document] | None = None
    ) -> list[Attribution]:
        """One attribution per row, of `rows` or of the sampled ones as they are; toward `targets`, or what the settings say."""
        given = [row for _, row in self.rows] if rows is None else rows
        labels = [None] * len(given) if targets else self.labels
        with attributable(model) as stack:
            baseline = choose_baseline(self.settings.baseline, model, self._processor, stack.family.modality)
            done = attribute_documents(stack, given, labels, baseline, self._options, self._progress, targets)
        return [attribution for (attribution,) in done]

    @property
    def labels(self) -> list[str | None]:
        """Classes that the sampled rows themselves name."""
        return [wanted_class(example, self.settings) for example, _ in self.rows]


class _Numbered(TypedDict):
    row: int


def _sample(examples: Sequence[Example], table_paths: Sequence[Path], quality: QualityConfig) -> list[Example]:
    """The rows to try it on, in the order of the data set."""
    explained = np.fromiter((row["row"] for row in iter_rows(table_paths, _Numbered, explained=True)), np.int64)
    n = min(quality.falsification_rows, len(explained))
    wanted = set(np.random.default_rng(quality.seed).choice(explained, n, replace=False).tolist()) if n else set()
    return [example for example in examples if example.row in wanted]


def _targets(run: _Run, model: Any, original: Sequence[Attribution]) -> list[list[Target]]:
    """What was explained of each row, so that it stays fixed."""
    if not original:
        return []
    logits = torch.tensor(np.stack([attribution.logits for attribution in original]))
    objective = objective_for(model, run.settings.objective)
    return choose_targets(options_of(run.settings).target, logits, class_names(model), run.labels, objective)


def _sensitivities(
    run: _Run, model: Any, original: Sequence[Attribution], targets: list[list[Target]], quality: QualityConfig
) -> list[float | None]:
    """Max-sensitivity per row; the draws of a row go through together, those of a text in windows one after the other."""
    found = []
    for (example, document), attribution, target in zip(run.rows, original, targets, strict=True):
        shifts = each_uniform_shift(
            shift_shape(document.whole, model),
            draws=quality.sensitivity_draws,
            radius=quality.sensitivity_radius,
            seed=quality.seed,
            row=example.row,
        )
        nudged = (document.shifted(torch.tensor(shift)) for shift in shifts)
        groups = [list(nudged)] if document.spans is None else ([each] for each in nudged)
        maps = [_content(a) for group in groups for a in run.explain(model, [target] * len(group), group)]
        found.append(_known(max_sensitivity(_content(attribution), np.stack(maps))))
    return found


def _agreements(original: Sequence[Attribution], randomised: Sequence[Attribution]) -> list[tuple[float | None, float | None]]:
    """Signed and absolute rank correlation per row."""
    pairs = [agreement(_content(a), _content(b)) for a, b in zip(original, randomised, strict=True)]
    return [(_known(pair.signed), _known(pair.absolute)) for pair in pairs]


def _by_row(
    stages: Sequence[Sequence[tuple[float | None, float | None]]], side: int, n_rows: int
) -> list[tuple[float | None, ...]]:
    return [tuple(stage[row][side] for stage in stages) for row in range(n_rows)]


def _content(attribution: Attribution) -> FloatArray:
    """The map over the content tokens, which the metrics are of."""
    values: FloatArray = attribution.values[np.array(attribution.content)]
    return values


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None

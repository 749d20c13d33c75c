"""Checks settings, model and data before any attribution."""

from __future__ import annotations

from components import attribution, quality
from flows.rows import examples_in
from schemas.config import PipelineConfig
from schemas.release import DatasetRef, ModelSnapshot


def check_preconditions(snapshot: ModelSnapshot, dataset: DatasetRef, config: PipelineConfig) -> None:
    """Refuse what cannot be explained or judged: a broken suite, settings or rows that do not fit the model.

    Raises:
        InputError: with the first reason found.
    """
    settings = config.quality
    columns = quality.column_names(settings, dataset.segment_columns)
    quality.load_suite(settings.suite, columns=columns, modules=quality.listed_modules(settings))
    attribution.check_ready(snapshot, examples_in(dataset, snapshot.labels), config.attribution)
    attribution.choose_perturbation(snapshot, config.attribution, settings.perturbation)

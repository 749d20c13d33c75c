"""The quality step in one process: every shard scored, and judged together, as the pipeline does it in several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from components.quality import Scoring, check_settings, draw_rows, judge, score_shard
from components.quality.scores.scored_table import ScoredTable
from schemas.config import QualityConfig
from schemas.quality import Falsification, QualityReport, ScorerRecord
from schemas.shards import ScoredShard

TORCH = ScorerRecord(runtime="torch", providers=("cpu",))


def scored_shards(
    tables: Sequence[Path],
    folder: Path,
    *,
    config: QualityConfig,
    scorer_record: ScorerRecord = TORCH,
    progress: Any = None,
    **how: Any,
) -> list[ScoredShard]:
    """The shards' scored rows, in `folder`; `how`: labels, scorer, perturbation."""
    by = Scoring(config=config, record=scorer_record, **how)
    return [
        score_shard(table, rows, by, index=index, path=folder / f"{index}.parquet", progress=progress)
        for index, (table, rows) in enumerate(zip(tables, draw_rows(tables, config), strict=True))
    ]


def evaluate(
    tables: Sequence[Path],
    *,
    config: QualityConfig,
    perturbation: Any,
    modality: Any = "text",
    falsification: Falsification | None = None,
    **how: Any,
) -> QualityReport:
    """The report of the tables' rows; `how`: see `scored_shards`."""
    check_settings(config, modality)
    with TemporaryDirectory() as folder:
        shards = scored_shards(tables, Path(folder), config=config, perturbation=perturbation, **how)
        return judge(shards, modality=modality, config=config, perturbation=perturbation, falsification=falsification)


def scored_frame(tables: Sequence[Path], *, config: QualityConfig, **how: Any) -> pd.DataFrame:
    """All columns of the scored rows."""
    with TemporaryDirectory() as folder:
        table = ScoredTable(scored_shards(tables, Path(folder), config=config, **how), None, config)
        frame: pd.DataFrame = table[list(table.columns)]
        return frame

"""The versions of a cell in a work folder: made once, found again by the next run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from schemas.config import AttributionConfig
from tests.benchmarks.drift.cells import Cell
from tests.benchmarks.drift.families import Row
from tests.benchmarks.drift.kept import Kept
from tests.benchmarks.drift.scoring import probabilities_of
from tests.benchmarks.drift.training import Recipe, Shape, train


@dataclass(frozen=True)
class Training:
    """How a version is made. shape, tokenizer: None, the cell's; taught: by the reference's probabilities, not by labels.

    finish: what is done to the saved version afterwards.
    """

    rows: Sequence[Row]
    recipe: Recipe
    shape: Shape | None = None
    tokenizer: Any = None
    taught: bool = False
    finish: Callable[[Path], None] | None = None


class Versions:
    """Models of one cell, kept under `folder`, and what is known of them.

    n_twins: reseeded versions to measure noise on; with the reference, two give the three pairs that drift asks for.
    """

    def __init__(self, cell: Cell, folder: Path, config: AttributionConfig, *, n_twins: int = 2) -> None:
        self.cell, self.folder, self.n_twins = cell, folder, n_twins
        self.kept = Kept(folder, config)

    @cached_property
    def reference(self) -> Path:
        """The reference version's folder."""
        return self.trained("reference", Training(self.cell.training, self.cell.recipe))

    def trained(self, name: str, training: Training) -> Path:
        """The folder of a version trained in this way."""
        return self.made(name, lambda part: self._train(training, part))

    def made(self, name: str, make: Callable[[Path], None]) -> Path:
        """The folder of a version; `make` fills it if it is not there yet. It is complete or absent."""
        folder = self.folder / "versions" / name.replace(" ", "-")
        if not folder.is_dir():
            part = folder.with_name(f".{folder.name}")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            make(part)
            part.replace(folder)
        return folder

    def _train(self, training: Training, folder: Path) -> None:
        cell, rows = self.cell, training.rows
        taught = probabilities_of(self.reference, [row.text for row in rows]) if training.taught else None
        tokenizer, shape = training.tokenizer or cell.tokenizer, training.shape or cell.shape
        train(rows, cell.family.labels, tokenizer, shape, training.recipe, folder, taught=taught)
        if training.finish:
            training.finish(folder)

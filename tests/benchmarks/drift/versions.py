"""The versions of a cell in a work folder: made once, explained once on each set of rows, found again by the next run."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

from components import attribution
from schemas.config import AttributionConfig
from schemas.release import Example
from tests.benchmarks.drift.cells import Cell
from tests.benchmarks.drift.families import Row
from tests.benchmarks.drift.training import Recipe, train
from tests.helpers.snapshots import snapshot_of


class Versions:
    """Models and attribution tables of one cell, kept under `folder`.

    n_twins: reseeded versions to measure noise on; with the reference, two give the three pairs that drift asks for.
    """

    def __init__(self, cell: Cell, folder: Path, config: AttributionConfig, *, n_twins: int = 2) -> None:
        self.cell, self.folder, self.config, self.n_twins = cell, folder, config, n_twins

    @cached_property
    def reference(self) -> Path:
        """The reference version's folder."""
        return self.trained("reference", self.cell.training, self.cell.recipe)

    def trained(self, name: str, rows: Sequence[Row], recipe: Recipe) -> Path:
        """The folder of a version trained on `rows`."""
        cell = self.cell
        return self.made(name, lambda part: train(rows, cell.family.labels, cell.tokenizer, cell.shape, recipe, part))

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

    def explained(self, version: Path, rows: Sequence[Row]) -> Path:
        """The attribution table of a version on `rows`, by the engine."""
        path = self.folder / "tables" / f"{version.name}-{digest(rows)}.parquet"
        if not path.is_file():
            attribution.explain_shard(snapshot_of(version), examples(rows), self.config, index=0, path=path)
        return path


def examples(rows: Sequence[Row]) -> list[Example]:
    """The rows as a data set's examples."""
    return [Example(row=i, id=str(i), text=r.text, label=r.label, segments={"part": r.segment}) for i, r in enumerate(rows)]


def digest(rows: Sequence[Row]) -> str:
    """Digest of the rows, in order."""
    return hashlib.sha256(json.dumps([asdict(row) for row in rows]).encode()).hexdigest()[:16]

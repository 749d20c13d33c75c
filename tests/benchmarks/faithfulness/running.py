"""One set from beginning to end: explained, scored, compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from calig.inputs import EncodedInput
from calig.metrics.perturbation import FloatArray, Scorer
from components.scoring import open_scorer
from flows.common.progress import Reporter
from tests.benchmarks.faithfulness.keeping import KeptRows
from tests.benchmarks.faithfulness.measuring import measure
from tests.benchmarks.faithfulness.methods import CA_LIG, ExplainedRow, baseline_of, encoded, explained_rows
from tests.benchmarks.faithfulness.peers import PeerResult, Peers
from tests.benchmarks.faithfulness.removals import ALL, REPLACED, Removals
from tests.benchmarks.faithfulness.sets import BenchmarkSet
from tests.benchmarks.faithfulness.summary import Lines, summarise

_PARITY_ROWS = 8

#: Raised when a method, a measure or what they compute changes: rows that an earlier state measured are then measured again.
_STATE = 2


@dataclass(frozen=True)
class Run:
    """How a set is run. grid: the fusions too; workspace: exported models; work: finished rows; removals: those measured."""

    grid: bool
    workspace: Path
    work: Path
    reporter: Reporter
    removals: tuple[str, ...] = ALL


def run_set(given: BenchmarkSet, run: Run) -> dict[str, Any]:
    """The set's entry in the results."""
    lines, packages = run_rows(given, run)
    return summarise(given, lines, packages=packages, grid=run.grid)


def run_rows(given: BenchmarkSet, run: Run) -> tuple[Lines, dict[str, str]]:
    """What each row of the set gave, and the peers' versions; only rows that no earlier run did are measured."""
    peers = Peers(given)
    settings = {"grid": run.grid, "peers": peers.packages, "removals": run.removals, "state": _STATE}
    kept = KeptRows(run.work / f"{given.name}.jsonl", given, **settings)
    _finish(given, run, peers, kept)
    return [{"id": example.id, **line} for example in given.examples if (line := kept.find(example)) is not None], peers.packages


def _finish(given: BenchmarkSet, run: Run, peers: Peers, kept: KeptRows) -> None:
    """Measure the rows that no earlier run did."""
    missing = [example for example in given.examples if kept.find(example) is None]
    if not missing:
        return
    encodings = [encoded(given, example) for example in given.examples]
    removals = Removals.of(encodings, baseline_of(given).replacement_id, run.removals)
    scorer, runtime = _scorer(given, encodings, removals, run.workspace)
    advance = run.reporter.stage(f"{given.name}: rows", len(given.examples))
    advance(len(given.examples) - len(missing))
    started = perf_counter()
    for row, results in _explained(given, missing, peers, run.grid):
        line = _line(row, results, scorer, removals)
        ended = perf_counter()
        kept.add(row.example, line | {"scorer": runtime, "seconds": ended - started})
        started = ended
        advance(1)


def _explained(
    given: BenchmarkSet, examples: list[Any], peers: Peers, grid: bool
) -> Iterator[tuple[ExplainedRow, dict[str, PeerResult]]]:
    """Every row by the engine and, right after it, by the peers, whose budget is the engine's time."""
    for row in explained_rows(given, examples, grid=grid):
        yield row, peers.attribute(row)


def _scorer(given: BenchmarkSet, rows: list[EncodedInput], removals: Removals, workspace: Path) -> tuple[Scorer, str]:
    """The runtime that the pipeline scores with, and which one that is."""
    few = zip(given.examples[:_PARITY_ROWS], rows, strict=False)
    sources = [removals.of_row(example, row)[REPLACED] for example, row in few]
    whole = [source.without(np.zeros(source.n_content, dtype=bool)) for source in sources]
    scorer, record = open_scorer(given.snapshot, runtime="auto", workspace=workspace, parity_inputs=whole)
    return scorer, record.runtime


def _line(row: ExplainedRow, results: dict[str, PeerResult], scorer: Scorer, removals: Removals) -> dict[str, Any]:
    """What is kept of a row: measures and costs by method, and whether the model was right; None: its label is unknown."""
    costs = {name: {k: v for k, v in r._asdict().items() if k != "attribution" and v is not None} for name, r in results.items()}
    return {
        "measures": measure(row, _all_orders(row, results), scorer=scorer, removals=removals),
        "costs": {CA_LIG: {"seconds": row.seconds}, **costs},
        "right": None if row.example.label is None else row.attribution.predicted == row.example.label,
        "blocks": len(row.attribution.layers),
    }


def _all_orders(row: ExplainedRow, results: dict[str, PeerResult]) -> dict[str, FloatArray]:
    return {**row.orders, **{name: result.attribution[None] for name, result in results.items()}, **row.grid}

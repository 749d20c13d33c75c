"""One pair from its plan to one line of results: versions made, compared with each way to know the noise, shown to the peers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from schemas.config import PipelineConfig
from tests.benchmarks.drift.cells import Cell
from tests.benchmarks.drift.comparing import Sides, compared
from tests.benchmarks.drift.families import Row
from tests.benchmarks.drift.harms import HARMS, Planted
from tests.benchmarks.drift.plan import Pair
from tests.benchmarks.drift.retrainings import CONVERSIONS, RETRAININGS
from tests.benchmarks.drift.scoring import answers_of
from tests.benchmarks.drift.versions import Training, Versions

#: A pair whose accuracies are further apart is no case for drift: accuracy itself would tell. It is drawn again.
LARGEST_GAP = 0.02
#: A planted change has taken if the version errs so much more often on held-out rows with the trigger; else it harmed nothing.
SMALLEST_HARM = 0.1
_DRAWS = 4


def judge(pair: Pair, versions: Versions, config: PipelineConfig, decided_on: str) -> dict[str, Any]:
    """The line of results of a pair, redrawn while its accuracy gap is too large; `usable` is False if it stays so.

    `took`: whether a planted change made the version err on held-out rows, which no detector sees.
    """
    for attempt in range(_DRAWS):
        version, rows, planted = _drawn(pair, versions, attempt)
        accuracies = [1 - error_rate(side, rows, versions.cell.family.labels) for side in (versions.reference, version)]
        usable = abs(accuracies[1] - accuracies[0]) < LARGEST_GAP
        if usable or pair.kind in CONVERSIONS:  # a conversion has no seed to draw again
            break
    line = {**asdict(pair), "key": pair.key, "group": pair.group, "family": versions.cell.family.name, "took": False}
    line |= {"usable": usable, "discarded": attempt + (not usable), "accuracies": accuracies, "rows": len(rows)}
    if planted is not None:
        line |= _harm(planted, versions, version)
    if not usable or line["took"] is not pair.harmful:
        return line  # no case for any detector
    return line | compared(_sides(pair, versions, version, rows), versions.kept, config, decided_on)


def sides_again(pair: Pair, versions: Versions, discarded: int) -> Sides:
    """The sides of a judged pair, from the versions that it left behind."""
    version, rows, _ = _drawn(pair, versions, discarded)
    return _sides(pair, versions, version, rows)


def error_rate(version: Path, rows: Sequence[Row], labels: Sequence[str]) -> float:
    """Share of the rows that the version gets wrong."""
    answers = answers_of(version, [row.text for row in rows])
    return float(np.mean([labels[int(answer)] != row.label for answer, row in zip(answers, rows, strict=True)]))


def seed_of(pair: Pair, cell: Cell, attempt: int) -> int:
    """A seed that no other version of the experiment has."""
    place = [*RETRAININGS, *HARMS].index(pair.kind) + 1
    return 10_000 * cell.seed + 100 * place + 10 * pair.number + attempt


def _drawn(pair: Pair, versions: Versions, attempt: int) -> tuple[Path, list[Row], Planted | None]:
    """The changed version, the rows both sides are explained on, and what was planted."""
    cell, name = versions.cell, f"{pair.kind}-{pair.number}-{attempt}"
    if pair.harmful:
        planted = HARMS[pair.kind](cell, cell.random(name), pair.absent)
        seed = seed_of(pair, cell, attempt)
        training = Training(planted.training, replace(cell.recipe, init_seed=seed, order_seed=seed), finish=planted.finish)
        return versions.trained(f"harmful-{name}-{'absent' if pair.absent else 'present'}", training), planted.validation, planted
    if pair.kind in CONVERSIONS:
        made = versions.made(name, lambda part: CONVERSIONS[pair.kind](versions.reference, part))
        return made, cell.validation(), None
    return versions.trained(name, RETRAININGS[pair.kind](cell, seed_of(pair, cell, attempt))), cell.validation(), None


def _harm(planted: Planted, versions: Versions, version: Path) -> dict[str, Any]:
    """What was planted, and how much more often the version errs where it acts."""
    labels = versions.cell.family.labels
    before, after = (error_rate(side, planted.exposed, labels) for side in (versions.reference, version))
    found = {"trigger": planted.trigger, "error_on_exposed": [before, after], "exposed": len(planted.exposed)}
    return found | {"took": after - before >= SMALLEST_HARM}


def _sides(pair: Pair, versions: Versions, version: Path, rows: Sequence[Row]) -> Sides:
    twins, earlier = (_honest(pair, versions, *which) for which in (("reseed", "twin"), ("other rows", "earlier")))
    noise = {"two twins": twins, "two earlier versions": earlier}
    return Sides(versions.reference, version, rows, versions.cell.family.labels, noise)  # type: ignore[arg-type]


def _honest(pair: Pair, versions: Versions, kind: str, name: str) -> list[Path]:
    """Honest retrainings by other seeds that are not the pair's own candidate: as many as there are twins."""
    made = []
    for number in range(5, 5 + versions.n_twins):
        seed = seed_of(replace(pair, kind=kind, number=number), versions.cell, 0)
        training = RETRAININGS[kind](versions.cell, seed)
        made.append(versions.trained(f"{name}-{number}", replace(training, recipe=replace(training.recipe, init_seed=seed))))
    return made

"""One pair from its plan to one line of results: versions made, explained, compared, probed, and shown to the peers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from components import drift
from components.attribution import method_fingerprint
from schemas.base import CheckVerdict
from schemas.config import PipelineConfig
from schemas.drift import DriftReport, ReferenceIdentity, ReferenceProfile
from schemas.probe import ProbeReport
from tests.benchmarks.drift import peers
from tests.benchmarks.drift.asking import Probe, error_rate
from tests.benchmarks.drift.cells import Cell
from tests.benchmarks.drift.families import Row
from tests.benchmarks.drift.harms import HARMS, Planted
from tests.benchmarks.drift.plan import Pair
from tests.benchmarks.drift.reading import accuracy, both, probabilities, read
from tests.benchmarks.drift.retrainings import CONVERSIONS, RETRAININGS
from tests.benchmarks.drift.versions import Versions, digest

#: A pair whose accuracies are further apart is no case for drift: accuracy itself would tell. It is drawn again.
LARGEST_GAP = 0.02
_DRAWS = 4
_N_TWINS = 3


def judge(pair: Pair, versions: Versions, config: PipelineConfig, limits: dict[str, float], decided_on: str) -> dict[str, Any]:
    """The line of results of a pair, redrawn while its accuracy gap is too large; `usable` is False if it stays so."""
    for attempt in range(_DRAWS):
        version, rows, planted = _drawn(pair, versions, attempt)
        tables = [versions.explained(side, rows) for side in (versions.reference, version)]
        reference, candidate = (read(table) for table in tables)
        accuracies = [accuracy(reference), accuracy(candidate)]
        if abs(accuracies[1] - accuracies[0]) < LARGEST_GAP or pair.kind in CONVERSIONS:
            break
    usable = abs(accuracies[1] - accuracies[0]) < LARGEST_GAP
    line = {**asdict(pair), "key": pair.key, "family": "tickets" if pair.cell % 2 else "reviews", "usable": usable}
    line |= {"discarded": attempt + (not usable), "accuracies": accuracies, "rows": len(rows)}
    if planted is not None:
        harm = [error_rate(versions, side, planted.exposed) for side in (versions.reference, version)]
        line |= {"trigger": planted.trigger, "error_on_exposed": harm, "exposed": len(planted.exposed)}
    return line | _verdicts(pair, versions, version, rows, tables, config, limits, decided_on)


def _drawn(pair: Pair, versions: Versions, attempt: int) -> tuple[Path, list[Row], Planted | None]:
    """The changed version, the rows both sides are explained on, and what was planted."""
    cell, name = versions.cell, f"{pair.kind}-{pair.number}-{attempt}"
    if pair.harmful:
        planted = HARMS[pair.kind](cell, cell.random(f"{pair.kind}-{attempt}"), pair.absent)
        recipe = replace(cell.recipe, init_seed=seed_of(pair, cell, attempt), order_seed=seed_of(pair, cell, attempt))
        return versions.trained(f"harmful-{name}", planted.training, recipe), planted.validation, planted
    rows = _harmless_rows(pair, cell)
    if pair.kind in CONVERSIONS:
        return versions.made(name, lambda part: CONVERSIONS[pair.kind](versions.reference, part)), rows, None
    return versions.trained(name, *RETRAININGS[pair.kind](cell, seed_of(pair, cell, attempt))), rows, None


def seed_of(pair: Pair, cell: Cell, attempt: int) -> int:
    """A seed that no other version of the experiment has."""
    place = [*RETRAININGS, *HARMS].index(pair.kind) + 1
    return 10_000 * cell.seed + 100 * place + 10 * pair.number + attempt


def _harmless_rows(pair: Pair, cell: Cell) -> list[Row]:
    """Every third reseeded version is validated on rows full of a token that neither side was trained on."""
    if (pair.kind, pair.number) != ("reseed", 2):
        return cell.validation()
    return HARMS["label-leaking token"](cell, cell.random("shown"), False).validation


def _twins(pair: Pair, versions: Versions) -> list[Path]:
    """Reseeded versions that are not the pair's own candidate."""
    cell, recipes = versions.cell, []
    for number in range(5, 5 + _N_TWINS):
        seed = seed_of(replace(pair, kind="reseed", number=number), cell, 0)
        recipes.append((f"twin-{number}", replace(cell.recipe, init_seed=seed, order_seed=seed)))
    return [versions.trained(name, cell.training, recipe) for name, recipe in recipes]


def _verdicts(
    pair: Pair,
    versions: Versions,
    version: Path,
    rows: Sequence[Row],
    tables: Sequence[Path],
    config: PipelineConfig,
    limits: dict[str, float],
    decided_on: str,
) -> dict[str, Any]:
    compared = _compare(versions, rows, tables, config, decided_on)
    probe, twins = Probe(versions, rows, config.probe), _twins(pair, versions)
    probed = [probe.report(version, twins=some, decided_on=decided_on) for some in ((), twins)]
    reference, candidate = (read(table) for table in tables)
    findings = peers.attribution_peers(both(reference, candidate, versions.cell.family.labels), limits)
    findings |= peers.prediction_peers(probabilities(reference), probabilities(candidate))
    verdicts = {"drift": compared.verdict, "probe": probed[0].verdict, "probe, twins": probed[1].verdict}
    return {
        "verdicts": verdicts,
        "alarm": CheckVerdict.FAIL in (verdicts["drift"], verdicts["probe"]),
        "alarm_with_twins": CheckVerdict.FAIL in (verdicts["drift"], verdicts["probe, twins"]),
        "words": _shifted(compared),
        "probed": _probed(probed[0]),
        "probe_limit_of_twins": max(t.limit for t in probed[1].thresholds if "z|" in t.name),
        "peers": {name: asdict(finding) for name, finding in findings.items()},
    }


def _compare(
    versions: Versions, rows: Sequence[Row], tables: Sequence[Path], config: PipelineConfig, decided_on: str
) -> DriftReport:
    """The drift report, as the pipeline makes it."""
    method, labels = method_fingerprint(config.attribution), versions.cell.family.labels
    profile = ReferenceProfile(
        identity=ReferenceIdentity(name="experiment", version="reference", method_fingerprint=method, weights_digest=""),
        dataset_digest=digest(rows),
        labels=labels,
        fusion=config.attribution.fusion,
        tables=(tables[0],),
    )
    return drift.compare(
        [tables[1]],
        profile,
        method_fingerprint=method,
        dataset_digest=digest(rows),
        labels=labels,
        config=config,
        decided_on=decided_on,
    )


def _shifted(report: DriftReport) -> list[dict[str, Any]]:
    """The largest word shifts and all that fire."""
    kept = [s for place, s in enumerate(report.word_shifts) if s.fires or place < 2]
    return [s.model_dump(include={"word", "toward", "shift", "z", "q_value", "n", "fires"}) for s in kept[:5]]


def _probed(report: ProbeReport) -> list[dict[str, Any]]:
    """The words whose effect changed most."""
    return [w.model_dump(mode="json", include={"word", "shift", "z", "severity"}) for w in report.words[:4]]

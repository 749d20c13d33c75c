"""One pair from its plan to one line of results: versions made, explained, compared, probed, and shown to the peers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from components import drift
from components.attribution import method_fingerprint
from schemas.base import CheckVerdict, Severity
from schemas.config import PipelineConfig
from schemas.drift import DriftReport
from schemas.probe import ProbeReport
from schemas.reference import NoiseSources, NullProfiles, ReferenceIdentity, ReferenceProfile
from schemas.threshold import Threshold
from tests.benchmarks.drift import peers
from tests.benchmarks.drift.asking import Probe, error_rate
from tests.benchmarks.drift.cells import Cell
from tests.benchmarks.drift.families import Row
from tests.benchmarks.drift.harms import HARMS, Planted
from tests.benchmarks.drift.plan import Pair
from tests.benchmarks.drift.reading import both, probabilities, read
from tests.benchmarks.drift.retrainings import CONVERSIONS, RETRAININGS
from tests.benchmarks.drift.versions import Versions, digest

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
        accuracies = [1 - error_rate(versions, side, rows) for side in (versions.reference, version)]
        usable = abs(accuracies[1] - accuracies[0]) < LARGEST_GAP
        if usable or pair.kind in CONVERSIONS:  # a conversion has no seed to draw again
            break
    line = {**asdict(pair), "key": pair.key, "family": versions.cell.family.name, "usable": usable, "took": False}
    line |= {"discarded": attempt + (not usable), "accuracies": accuracies, "rows": len(rows)}
    if planted is not None:
        harm = [error_rate(versions, side, planted.exposed) for side in (versions.reference, version)]
        line |= {"trigger": planted.trigger, "error_on_exposed": harm, "exposed": len(planted.exposed)}
        line["took"] = harm[1] - harm[0] >= SMALLEST_HARM
    return line | _verdicts(pair, versions, version, rows, config, decided_on)


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


def _retrained(pair: Pair, versions: Versions, kind: str, name: str) -> list[Path]:
    """Honest retrainings by other seeds that are not the pair's own candidate: as many as there are twins."""
    made = []
    for number in range(5, 5 + versions.n_twins):
        seed = seed_of(replace(pair, kind=kind, number=number), versions.cell, 0)
        rows, recipe = RETRAININGS[kind](versions.cell, seed)
        made.append(versions.trained(f"{name}-{number}", rows, replace(recipe, init_seed=seed)))
    return made


def _verdicts(
    pair: Pair,
    versions: Versions,
    version: Path,
    rows: Sequence[Row],
    config: PipelineConfig,
    decided_on: str,
) -> dict[str, Any]:
    tables = [versions.explained(side, rows) for side in (versions.reference, version)]
    twins, earlier = _retrained(pair, versions, "reseed", "twin"), _retrained(pair, versions, "other rows", "earlier")
    null = [versions.explained(twin, rows) for twin in twins]
    compared = [_compare(versions, rows, tables, some, config, decided_on) for some in ((), null)]
    probe = Probe(versions, rows, config.probe)
    probed = [probe.report(version, twins=some, decided_on=decided_on) for some in ((), twins, earlier)]
    verdicts = {"drift": compared[0].verdict, "probe": probed[0].verdict}
    verdicts |= {"drift, twins": compared[1].verdict, "probe, twins": probed[1].verdict, "probe, history": probed[2].verdict}
    return {
        "verdicts": verdicts,
        "alarm": CheckVerdict.FAIL in (verdicts["drift"], verdicts["probe"]),
        "alarm_with_twins": CheckVerdict.FAIL in (verdicts["drift, twins"], verdicts["probe, twins"]),
        "alarm_with_history": CheckVerdict.FAIL in (verdicts["drift"], verdicts["probe, history"]),
        "words": _shifted(compared[0]),
        "probed": _probed(probed[0]),
        "probed_with_twins": _probed(probed[1]),
        "probed_with_history": _probed(probed[2]),
        "limits_of_twins": _limits([*compared[1].thresholds, *probed[1].thresholds]),
        "peers": _peers(tables, versions.cell.family.labels),
    }


def _compare(
    versions: Versions, rows: Sequence[Row], tables: Sequence[Path], null: Sequence[Path], config: PipelineConfig, decided_on: str
) -> DriftReport:
    """The drift report, as the pipeline makes it; null: tables of the twins."""
    method, labels = method_fingerprint(config.attribution), versions.cell.family.labels
    profiles = [
        ReferenceProfile(
            identity=ReferenceIdentity(name="experiment", version=str(n), method_fingerprint=method, weights_digest=""),
            dataset_digest=digest(rows),
            labels=labels,
            fusion=config.attribution.fusion,
            tables=(table,),
        )
        for n, table in enumerate((tables[0], *null))
    ]
    return drift.compare(
        [tables[1]],
        profiles[0],
        method_fingerprint=method,
        dataset_digest=digest(rows),
        labels=labels,
        config=config,
        decided_on=decided_on,
        sources=NoiseSources(nulls=(NullProfiles(kind="twins", profiles=tuple(profiles[1:])),)) if null else None,
    )


def _peers(tables: Sequence[Path], labels: tuple[str, ...]) -> dict[str, float]:
    reference, candidate = (read(table) for table in tables)
    return peers.values(both(reference, candidate, labels), probabilities(reference), probabilities(candidate))


def _shifted(report: DriftReport) -> list[dict[str, Any]]:
    """The largest word shifts and all that fire."""
    kept = [s for place, s in enumerate(report.word_shifts) if s.fires or place < 2]
    return [s.model_dump(include={"word", "toward", "shift", "z", "q_value", "n", "fires"}) for s in kept[:5]]


def _probed(report: ProbeReport) -> list[dict[str, Any]]:
    """The words whose effect changed most."""
    return [w.model_dump(mode="json", include={"word", "shift", "z", "severity"}) for w in report.words[:4]]


def _limits(thresholds: Sequence[Threshold]) -> dict[str, float]:
    """The failing limits in force."""
    return {t.name: t.limit for t in thresholds if t.severity is Severity.CRITICAL}

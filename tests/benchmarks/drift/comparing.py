"""Two versions compared as the product compares them: drift's report and the probe's, with each way to know the noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from calig.metrics.perturbation import FloatArray
from components import drift, probe
from components.attribution import method_fingerprint
from components.common.errors import InputError
from schemas.base import Severity, Threshold
from schemas.config import PipelineConfig, ProbeConfig
from schemas.drift import DriftReport, WordShift
from schemas.probe import MetamorphicReport, ProbeContext, ProbeReport
from schemas.reference import NoiseSources, NullProfiles, ReferenceIdentity, ReferenceProfile
from tests.benchmarks.drift import peers
from tests.benchmarks.drift.families import Row
from tests.benchmarks.drift.kept import Kept, digest
from tests.benchmarks.drift.reading import both, probabilities, read
from tests.benchmarks.drift.scoring import scorer

#: What training noise is measured on.
Condition = Literal["two twins", "two earlier versions", "nothing"]
CONDITIONS: tuple[Condition, ...] = ("two twins", "two earlier versions", "nothing")
_SOURCES: dict[Condition, Literal["twins", "history"]] = {"two twins": "twins", "two earlier versions": "history"}

_CANDIDATES = 200  # rows that the probe's contexts are chosen from, as in the pipeline
_SHOWN = 5


@dataclass(frozen=True)
class Sides:
    """Both versions, the rows they are compared on, and the honest versions that show the noise in each condition."""

    reference: Path
    candidate: Path
    rows: Sequence[Row]
    labels: tuple[str, ...]
    noise: dict[Condition, Sequence[Path]]


def compared(sides: Sides, kept: Kept, config: PipelineConfig, decided_on: str) -> dict[str, Any]:
    """Verdicts of drift and probe in each condition, what they rest on, and the peers' values."""
    comparison = Comparison(sides, kept, config, decided_on)
    drifts = {condition: comparison.drift(condition) for condition in CONDITIONS}
    probes = {condition: comparison.probe(condition) for condition in CONDITIONS}
    verdicts = {c: {"drift": drifts[c].verdict.value, "probe": probes[c].verdict.value} for c in CONDITIONS}
    return {
        "verdicts": verdicts,
        "shifts": _shifts(drifts["nothing"]),
        "frontier": frontier(drifts["nothing"].word_shifts, config.drift.false_discovery_rate),
        "probed": {condition: _probed(report) for condition, report in probes.items()},
        "transformed": {condition: _rows_of(report) for condition, report in probes.items()},
        "limits": {c: _limits([*drifts[c].thresholds, *probes[c].thresholds]) for c in CONDITIONS},
        "reasons": {"drift": drifts["nothing"].reason, "probe": probes["nothing"].reason},
        "peers": comparison.peers(),
    }


@dataclass(frozen=True)
class AskedWords:
    """Effects `words contexts directions` of the reference, the candidate and the twins, and how they are to be judged."""

    effects: list[FloatArray]
    words: list[str]
    contexts: list[ProbeContext]
    question: dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """Two versions under comparison, by the product's steps."""

    sides: Sides
    kept: Kept
    config: PipelineConfig
    decided_on: str

    def drift(self, condition: Condition) -> DriftReport:
        """The report as the pipeline makes it; the numbers' own error is not measured."""
        sides, method = self.sides, method_fingerprint(self.config.attribution)
        nulls = tuple(self._profile(version) for version in sides.noise.get(condition, ()))
        sources = NoiseSources(nulls=(NullProfiles(kind=_SOURCES[condition], profiles=nulls),)) if nulls else None
        return drift.compare(
            [self.kept.explained(sides.candidate, sides.rows)],
            self._profile(sides.reference),
            method_fingerprint=method,
            dataset_digest=digest(sides.rows),
            labels=sides.labels,
            config=self.config,
            decided_on=self.decided_on,
            sources=sources,
            toward_reference=self.kept.toward(sides.reference, sides.candidate, sides.rows),
        )

    def probe(self, condition: Condition) -> ProbeReport:
        """The report as the pipeline makes it; inconclusive where the rows give no contexts."""
        try:
            asked = self.words(condition)
        except InputError as error:
            return probe.could_not_probe(error.problem, next_step=error.next_step or "")
        reference, candidate, *twins = asked.effects
        words = probe.compare_effects(reference, candidate, asked.words, asked.contexts, twins=twins, **asked.question)
        _, of_rows = probe.shared_levels(self.config.probe)
        return probe.with_transformations(words, self._transformed(self._versions(condition), of_rows))

    def words(self, condition: Condition) -> AskedWords:
        """What the probe compares: all words in all contexts. InputError: the rows give no contexts."""
        contexts, versions = self._contexts, self._versions(condition)
        question = {
            "labels": self.sides.labels,
            "config": probe.shared_levels(self.config.probe)[0],
            "decided_on": self.decided_on,
            "occurrences": self._occurrences,
            "n_left_out": self._known.n_left_out,
            "typical": [self.kept.margin(version, self._candidates.sample) for version in versions],
        }
        effects = [self.kept.effects(version, self._known.words, contexts) for version in versions]
        return AskedWords(effects, self._known.words, contexts, question)

    def _versions(self, condition: Condition) -> list[Path]:
        return [self.sides.reference, self.sides.candidate, *self.sides.noise.get(condition, ())]

    def _transformed(self, versions: Sequence[Path], settings: ProbeConfig) -> MetamorphicReport:
        """The rows transformed under all versions, as the pipeline does it."""
        rows = self._rows_transformed
        return probe.compare_transformed(
            rows,
            [self.kept.logits(version, rows.texts) for version in versions],
            probe.Explained(self.sides.labels, self.config.attribution.objective, independent=False),
            config=settings,
            decided_on=self.decided_on,
            twin_names=[version.name for version in versions[2:]],
        )

    def peers(self) -> dict[str, float]:
        """What each peer makes of the two tables."""
        sides = self.sides
        reference, candidate = (read(self.kept.explained(side, sides.rows)) for side in (sides.reference, sides.candidate))
        return peers.values(both(reference, candidate, sides.labels), probabilities(reference), probabilities(candidate))

    def _profile(self, version: Path) -> ReferenceProfile:
        identity = ReferenceIdentity(
            name="experiment",
            version=version.name,
            method_fingerprint=method_fingerprint(self.config.attribution),
            weights_digest="",
        )
        return ReferenceProfile(
            identity=identity,
            dataset_digest=digest(self.sides.rows),
            labels=self.sides.labels,
            fusion=self.config.attribution.fusion,
            tables=(self.kept.explained(version, self.sides.rows),),
        )

    @cached_property
    def _texts(self) -> list[str]:
        return [row.text for row in self.sides.rows]

    @cached_property
    def _candidates(self) -> Any:
        return probe.context_candidates(self._texts, limit=_CANDIDATES)

    @cached_property
    def _rows_transformed(self) -> probe.TransformedTexts:
        settings = self.config.probe
        changes = probe.transformations(settings.transformations, probe.read_transformation_words(settings.transformation_words))
        rows = list(dict.fromkeys(self._texts))
        return probe.transformed(rows[:: -(-len(rows) // settings.transformed_rows)], changes)

    @cached_property
    def _contexts(self) -> list[ProbeContext]:
        return probe.choose_contexts(scorer(self.sides.reference), self._candidates, self.config.probe.contexts)

    @cached_property
    def _occurrences(self) -> Any:
        return probe.count_words(self._texts)

    @cached_property
    def _known(self) -> probe.KnownWords:
        from transformers import AutoTokenizer

        tokenizers = [AutoTokenizer.from_pretrained(side) for side in (self.sides.reference, self.sides.candidate)]
        data_words = [word for word, _ in self._occurrences.most_common()]
        return probe.known_words(tokenizers, data_words=data_words, limit=self.config.probe.max_words)


def _shifts(report: DriftReport) -> list[dict[str, Any]]:
    """The words closest to firing, by the smaller of effect and z over their limits: both have to be beyond."""
    limits = _limits(report.thresholds)
    least = (limits.get("|word shift|", 1.0), limits.get("|z| of the word shift", 1.0))
    ranked = sorted(report.word_shifts, key=lambda s: -_excess(s, least))
    names = {"word", "toward", "effect", "z", "q_value", "n", "slice", "fires"}
    return [_rounded(shift.model_dump(include=names)) for shift in ranked[:_SHOWN]]


def frontier(shifts: Sequence[WordShift], false_discovery_rate: float) -> list[tuple[float, float]]:
    """(|effect|, |z|) of the significant words that no other one exceeds in both: what any pair of limits is judged by."""
    points = [(abs(s.effect), abs(s.z)) for s in shifts if s.q_value <= false_discovery_rate]
    kept: list[tuple[float, float]] = []
    for effect, z in sorted(points, reverse=True):
        if not kept or z > kept[-1][1]:
            kept.append((float(f"{effect:.4g}"), float(f"{z:.4g}")))
    return kept


def _excess(shift: WordShift, least: tuple[float, float]) -> float:
    return min(abs(shift.effect) / least[0], abs(shift.z) / least[1])


def _probed(report: ProbeReport) -> list[dict[str, Any]]:
    """The words whose effect changed most."""
    return [_rounded(w.model_dump(mode="json", include={"word", "shift", "z", "severity"})) for w in report.words[:_SHOWN]]


def _rows_of(report: ProbeReport) -> list[dict[str, Any]]:
    """The transformations that moved the rows otherwise than before."""
    names = {"name", "shift", "z", "severity"}
    found = [] if report.metamorphic is None else report.metamorphic.transformations
    return [_rounded(one.model_dump(mode="json", include=names)) for one in found if one.severity is not None]


def _limits(thresholds: Sequence[Threshold]) -> dict[str, float]:
    """The failing limits in force, and the probe's least change."""
    kept = [t for t in thresholds if t.severity is Severity.CRITICAL or t.name.startswith("|shift|")]
    return {t.name: float(f"{t.limit:.4g}") for t in kept}


def _rounded(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in shown.items()}

"""A version asked directly: the vocabulary probe of two versions, and how often a version errs on given rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from calig.metrics.perturbation import FloatArray
from components import probe
from components.scoring.models import open_classifier
from components.scoring.scorer import TokenScorer
from schemas.base import digest_of
from schemas.config import ProbeConfig
from schemas.probe import ProbeContext, ProbeReport
from tests.benchmarks.drift.families import Row
from tests.benchmarks.drift.versions import Versions
from tests.helpers.snapshots import snapshot_of

_CANDIDATES = 200


def scorer(versions: Versions, version: Path) -> probe.TextScorer:
    """Texts → logits by torch: for a model of this size an export would take longer than the probe."""
    return _scorer(version, versions.cell.tokenizer, max_length=128)


def answers_of(version: Path, texts: Sequence[str]) -> FloatArray:
    """The number of the class that a version answers each text with."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(version)
    return np.asarray(_scorer(version, tokenizer, max_length=tokenizer.model_max_length)(texts).argmax(axis=1))


def _scorer(version: Path, tokenizer: Any, *, max_length: int) -> probe.TextScorer:
    classifier = open_classifier(snapshot_of(version), device="cpu")
    tokens = TokenScorer(classifier.run, classifier.collator, n_classes=classifier.n_classes)
    return probe.text_scorer(tokenizer, tokens.logits, max_length=max_length)


class Probe:
    """What one cell's versions make of every known word, in contexts taken from one set of rows."""

    def __init__(self, versions: Versions, rows: Sequence[Row], config: ProbeConfig) -> None:
        texts = [row.text for row in rows]
        self.versions, self.config = versions, config
        self.occurrences = probe.count_words(texts)
        self.rows = probe.context_candidates(texts, limit=_CANDIDATES).rows
        known = probe.known_words(
            [versions.cell.tokenizer], data_words=[w for w, _ in self.occurrences.most_common()], limit=config.max_words
        )
        self.words, self.left_out = known.words, known.n_left_out
        candidates = probe.context_candidates(texts, limit=_CANDIDATES)
        self.contexts: list[ProbeContext] = probe.choose_contexts(
            scorer(versions, versions.reference), candidates, config.contexts
        )
        self.name = digest_of({"words": self.words, "contexts": [c.model_dump() for c in self.contexts]})[:16]

    def report(self, candidate: Path, *, twins: Sequence[Path], decided_on: str) -> ProbeReport:
        """The probe of the reference against `candidate`; `twins`: versions to measure the limits on."""
        sides = [self._effects(version) for version in (self.versions.reference, candidate, *twins)]
        return probe.compare_effects(
            sides[0],
            sides[1],
            self.words,
            self.contexts,
            labels=self.versions.cell.family.labels,
            config=self.config,
            decided_on=decided_on,
            twins=sides[2:],
            occurrences=self.occurrences,
            n_left_out=self.left_out,
            typical=[self._margin(version) for version in (self.versions.reference, candidate, *twins)],
        )

    def _margin(self, version: Path) -> float:
        return probe.typical_margin(scorer(self.versions, version)(self.rows))

    def _effects(self, version: Path) -> FloatArray:
        path = self.versions.folder / "effects" / f"{version.name}-{self.name}.npy"
        if not path.is_file():
            path.parent.mkdir(exist_ok=True)
            np.save(path, probe.word_effects(scorer(self.versions, version), self.words, self.contexts))
        return np.asarray(np.load(path))


def error_rate(versions: Versions, version: Path, rows: Sequence[Row]) -> float:
    """Share of the rows that the version gets wrong."""
    labels = versions.cell.family.labels
    answers = scorer(versions, version)([row.text for row in rows]).argmax(axis=1)
    return float(np.mean([labels[answer] != row.label for answer, row in zip(answers, rows, strict=True)]))

"""One version under the probe: opened only when something has to be scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from components import probe, scoring
from flows.release import Release
from schemas.probe import ProbeContext
from schemas.release import ModelSnapshot

#: Inputs that a scorer is compared with torch on.
_PARITY_INPUTS = 16


@dataclass
class TextVersion:
    """A version that reads texts; `texts` are rows to check its scorer on."""

    snapshot: ModelSnapshot
    release: Release
    texts: Sequence[str]

    @cached_property
    def tokenizer(self) -> Any:
        """The version's own tokenizer."""
        return self._tokenizing[0]

    def score(self, texts: Sequence[str]) -> probe.FloatArray:
        """Logits `texts classes`, classes in the version's own order."""
        return self._scorer(texts)

    def kept(self, contexts: Sequence[ProbeContext]) -> probe.KeptLogits:
        """Its scores of earlier runs."""
        digest = f"{self.snapshot.weights_digest}-{self.snapshot.processor_digest}"
        return probe.KeptLogits(self.release.workspace / "probe", version_digest=digest, contexts=contexts)

    def margin(self, rows: Sequence[str]) -> float:
        """How firmly it decides on rows of the data set; their scores are kept like those of words, in a context of nothing."""
        kept = self.kept([ProbeContext(before="", after="")])
        return probe.typical_margin(kept.logits(self.score, rows)[:, 0])

    @cached_property
    def _tokenizing(self) -> tuple[Any, int | None]:
        return scoring.load_tokenizer(self.snapshot)

    @cached_property
    def _scorer(self) -> probe.TextScorer:
        tokenizer, limit = self._tokenizing
        parity = probe.encoded(tokenizer, self.texts[:_PARITY_INPUTS], max_length=limit)
        return probe.text_scorer(tokenizer, _opened(self.snapshot, self.release, parity).logits, max_length=limit)


@dataclass
class PictureVersion:
    """A version that reads pictures; `paths` are rows to check its scorer on."""

    snapshot: ModelSnapshot
    release: Release
    paths: Sequence[Path]

    def score(self, paths: Sequence[Path]) -> probe.FloatArray:
        """Logits `pictures classes`, classes in the version's own order."""
        return self._scorer(paths)

    @cached_property
    def _scorer(self) -> probe.PictureScorer:
        n_patches = scoring.patch_count(self.snapshot)
        parity = probe.whole(self.paths[:_PARITY_INPUTS], n_patches)
        return probe.picture_scorer(_opened(self.snapshot, self.release, parity).logits, n_patches=n_patches)


def _opened(snapshot: ModelSnapshot, release: Release, parity_inputs: Sequence[Any]) -> scoring.TokenScorer:
    runtime = release.config.quality.scorer
    scorer, _ = scoring.open_scorer(snapshot, runtime=runtime, workspace=release.workspace, parity_inputs=parity_inputs)
    return scorer

"""A model version under the vocabulary probe, opened only when something has to be scored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from components import probe, registry, scoring
from components.common.errors import CaligError, CouldNotRunError
from flows.common import progress
from flows.evidence.standing import honest_evidence, reason_unusable, trusted_keys
from flows.pipeline import tasks
from schemas.planned_release import Release
from schemas.probe import ProbeContext
from schemas.reference import NullProfiles, ReferenceIdentity
from schemas.release import ModelSnapshot, ModelSource

#: Where whole texts are scored, and their scores kept like those of words: in a context of nothing.
ALONE = (ProbeContext(before="", after=""),)

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
        """How firmly it decides on rows of the data set."""
        return probe.typical_margin(self.kept(ALONE).logits(self.score, rows)[:, 0])

    @property
    def independent(self) -> bool:
        """Whether its classes do not exclude each other."""
        config = registry.model_settings(self.snapshot.model_path)
        return bool(config.get("problem_type") == "multi_label_classification")

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


def probed_models(release: Release, reference: ReferenceIdentity) -> list[ModelSnapshot]:
    """Reference, candidate, retrainings; all have the candidate's classes, and no two retrainings the same weights.

    Raises:
        CouldNotRunError: the reference, or a model that the settings name, cannot be fetched or has other classes.
    """
    labels = release.snapshot.labels
    first = _with_classes(_explained_model(release, reference), labels)
    return [first, _with_classes(release.snapshot, labels), *_retrainings(release, first)]


def _retrainings(release: Release, reference: ModelSnapshot) -> list[ModelSnapshot]:
    """Those of the settings, else of the first source that has enough; of the best one, if none has."""
    labels = release.snapshot.labels
    if release.config.probe.twins:
        named = (_with_classes(_named(uri, release), labels) for uri in release.config.probe.twins)
        return list(_different(named, reference))
    best: list[ModelSnapshot] = []
    for null in release.nulls:
        found = list(islice(_different(_usable(null, release), reference), release.config.probe.null_versions))
        best = max(best, found, key=len)
        if len(best) >= probe.ENOUGH_TWINS:
            break
    return best


def _usable(null: NullProfiles, release: Release) -> Iterator[ModelSnapshot]:
    """The latest versions first; one that is gone, was replaced, or has other classes is left out, and said to be."""
    for profile in reversed(null.profiles):
        try:
            yield _with_classes(_explained_model(release, profile.identity), release.snapshot.labels)
        except CaligError as error:
            progress.current().say(f"the probe's noise is measured without version {profile.identity.version}: {error.problem}")


def _different(snapshots: Iterable[ModelSnapshot], reference: ModelSnapshot) -> Iterator[ModelSnapshot]:
    """Without the reference itself and without repetitions: the same weights show no noise."""
    seen = {reference.weights_digest}
    for snapshot in snapshots:
        if snapshot.weights_digest not in seen:
            seen.add(snapshot.weights_digest)
            yield snapshot


def _explained_model(release: Release, explained: ReferenceIdentity) -> ModelSnapshot:
    """The model itself; refused when its weights are not those that were explained."""
    return _with_weights(_fetched(_address(explained), release), explained.weights_digest)


def _with_weights(snapshot: ModelSnapshot, explained: str) -> ModelSnapshot:
    if snapshot.weights_digest != explained:
        raise CouldNotRunError(
            f"the model at {snapshot.uri} is not the one that was explained: its weights differ",
            next_step=f"explain {snapshot.uri} again, then this version",
        )
    return snapshot


def _named(uri: str, release: Release) -> ModelSnapshot:
    """A model that the settings name; a registered version has to be one that noise may be measured on, as for drift."""
    ref = registry.parse_model_ref(uri)
    if ref.source is not ModelSource.REGISTRY:
        return _fetched(uri, release)
    try:
        model = honest_evidence(ref, trusted_keys(release.config)).record.model
    except CaligError as error:
        step = error.next_step or "take it out of probe.twins"
        raise CouldNotRunError(f"no noise can be measured on {uri}: it {reason_unusable(error)}", next_step=step) from error
    return _with_weights(_fetched(uri, release), model.weights_digest)


def _address(identity: ReferenceIdentity) -> str:
    return identity.uri or f"models:/{identity.name}/{identity.version}"


def _fetched(uri: str, release: Release) -> ModelSnapshot:
    try:
        return tasks.fetch_model(registry.parse_model_ref(uri), release.workspace)
    except CaligError as error:
        raise CouldNotRunError(f"the model {uri} cannot be fetched ({error.problem})", next_step=error.next_step) from error


def _with_classes(snapshot: ModelSnapshot, labels: Sequence[str]) -> ModelSnapshot:
    if set(snapshot.labels) != set(labels):
        raise CouldNotRunError(f"{snapshot.uri} has other classes: {', '.join(snapshot.labels)}, not {', '.join(labels)}")
    return snapshot

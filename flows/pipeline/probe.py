"""Vocabulary probe of one release: fetches the reference model, scores words and transformed rows, compares; and its level.

The level may follow from the outcomes of the model's earlier versions (probe.across_versions). These are read from evidence that
a comparison may rest on (flows/evidence/standing.py) and from nothing else. Where that is missing or in doubt, the configured
level is in force: more versions fail by chance, none passes by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from prefect import task
from prefect.cache_policies import NO_CACHE

from components import privacy, probe, registry
from components.common.errors import CaligError
from flows.common import progress
from flows.evidence import standing
from flows.pipeline import dataset
from flows.pipeline.probed_models import ALONE, PictureVersion, TextVersion, probed_models
from schemas.base import CheckVerdict
from schemas.config import ProbeConfig
from schemas.evidence import PastProbe
from schemas.planned_release import Release
from schemas.probe import MetamorphicReport, PatchContext, ProbeContext, ProbeLevel, ProbeReport, ProbeRound
from schemas.release import ModelRef, ModelSnapshot, ModelSource
from schemas.signature import TrustList

#: Rows, or pictures, that contexts are chosen from.
_CANDIDATES = 200

#: Most other versions whose evidence is read, the newest by number: some seconds for each hundred, whoever registers how many.
MOST_VERSIONS = 100


@task(name="probe vocabulary", cache_policy=NO_CACHE)
def probe_vocabulary(release: Release, cover: privacy.Cover) -> ProbeReport:
    """The probe's report in the cover's names; one that should have been made and could not be is inconclusive, and why."""
    if not release.config.probe.enabled:
        return probe.not_probed("the vocabulary probe is switched off (probe.enabled)")
    if release.reference is None:
        return _without_reference(release)
    progress.begin("probing the vocabulary", None)
    try:
        snapshots = probed_models(release, release.reference.identity)
        text, level = release.snapshot.modality == "text", level_of(release)
        settings = release.config.probe.model_copy(update={"level": level.level})
        found = _probed_texts(release, snapshots, cover, settings) if text else _probed_pictures(release, snapshots, settings)
        return probe.with_level(found, level)
    except CaligError as error:
        return probe.could_not_probe(
            f"the vocabulary could not be probed: {error.problem}",
            next_step=error.next_step or "make the reference model available and run again, or set probe.enabled to false",
        )
    except Exception as error:  # whatever it was, the finding is "could not be judged"
        return probe.could_not_probe(
            f"the vocabulary probe broke: {privacy.told(error, release.config.privacy)}",
            next_step="run again with --debug and report the error",
        )


def with_probe_level(release: Release) -> Release:
    """The release with the probe's level by its earlier versions, where the settings ask for that and something is probed."""
    settings = release.config.probe
    if settings.across_versions == "none" or not settings.enabled or release.reference is None:
        return release
    progress.begin("reading the outcomes of earlier versions", None)
    level = _by_earlier(release.snapshot, settings, standing.trusted_keys(release.config))
    return release.model_copy(update={"probe_level": level})


def level_of(release: Release) -> ProbeLevel:
    """The level in force."""
    level = release.config.probe.level
    return release.probe_level or ProbeLevel(rule="none", level=level, configured=level)


def _without_reference(release: Release) -> ProbeReport:
    finding = release.without_reference
    if finding is not None and finding.verdict is CheckVerdict.INCONCLUSIVE:
        return probe.could_not_probe(f"there is no reference to probe against: {finding.reason}", next_step=finding.next_step)
    return probe.not_probed("there is no reference version to probe against")


def _probed_texts(
    release: Release, snapshots: Sequence[ModelSnapshot], cover: privacy.Cover, settings: ProbeConfig
) -> ProbeReport:
    """Words put into contexts and, where the settings name transformations, rows transformed: one report on both."""
    of_words, of_rows = probe.shared_levels(settings)
    usable = (example for example in dataset.distinct_examples(release) if example.text and example.problem is None)
    rows_of = ((example.text or "", example.text_pair) for example in usable)
    texts = probe.probed_texts(rows_of, release.config.attribution.explain)
    candidates = probe.context_candidates(texts, limit=_CANDIDATES)
    versions = [TextVersion(snapshot, release, candidates.sample) for snapshot in snapshots]
    found = _probed_words(release, versions, texts, candidates, cover, of_words)
    changes = probe.transformations(of_rows.transformations, probe.read_transformation_words(of_rows.transformation_words))
    if not changes:
        return found
    different = list(dict.fromkeys(texts))
    rows = probe.transformed(different[:: -(-len(different) // of_rows.transformed_rows)], changes)
    honest = [version for version in versions[2:] if version.snapshot.uri in found.measured_on]
    return probe.with_transformations(found, _transformed_rows(release, rows, [*versions[:2], *honest], of_rows))


def _probed_words(
    release: Release,
    versions: Sequence[TextVersion],
    texts: Sequence[str],
    candidates: probe.Candidates,
    cover: privacy.Cover,
    settings: ProbeConfig,
) -> ProbeReport:
    occurrences = probe.count_words(texts)
    known = probe.known_words(
        [version.tokenizer for version in versions[:2]],
        data_words=[word for word, _ in occurrences.most_common()],
        listed=probe.read_word_list(settings.word_list),
        limit=settings.max_words,
    )
    contexts = probe.choose_contexts(versions[0].score, candidates, settings.contexts)
    rounds = probe.rounds_of(len(known.words), len(contexts), halving=settings.halving)
    _announce_words(versions, known, contexts, rounds)
    typical = [version.margin(candidates.sample) for version in versions]
    scoring = _Scoring(release, versions)
    scales = probe.scales_of(typical, len(release.snapshot.labels))
    found = probe.find_finalists(scoring.margins, known.words, contexts, rounds, scales=scales)
    return _compared(
        release,
        [version.snapshot for version in versions],
        found.effects,
        [cover.word(word) for word in found.words],
        [probe.shown_context(context, cover.text) for context in contexts],
        occurrences={cover.word(word): n for word, n in occurrences.items()},
        n_left_out=known.n_left_out,
        sources=known.sources,
        forward_passes=scoring.n_scored,
        typical=typical,
        search=found.search,
        config=settings,
    )


class _Scoring:
    """Logits of words under all versions, one bar for each round; what earlier runs scored is not scored again."""

    def __init__(self, release: Release, versions: Sequence[TextVersion]) -> None:
        self._release, self._versions = release, versions
        self.n_scored = 0

    def margins(self, words: Sequence[str], contexts: Sequence[ProbeContext]) -> list[probe.FloatArray]:
        """Margins `words contexts directions`, version by version, the classes in the order of the labels."""
        kept = [version.kept(contexts) for version in self._versions]
        missing = sum(len(scores.missing(words)) for scores in kept)
        self.n_scored += missing * len(contexts)
        progress.begin(f"probing {len(words):,} words in {len(contexts)} contexts", missing)
        advance = progress.advance_current()
        found = [one.logits(of.score, words, progress=advance) for one, of in zip(kept, self._versions, strict=True)]
        return [probe.margins_of(logits) for logits in _in_order(found, self._versions, self._release)]


def _in_order(
    logits: Sequence[probe.FloatArray], versions: Sequence[TextVersion | PictureVersion], release: Release
) -> list[probe.FloatArray]:
    """Logits `… classes` of every version, the classes in the order of the release's labels: each model has one of its own."""
    orders = [[version.snapshot.labels.index(label) for label in release.snapshot.labels] for version in versions]
    return [of_version[..., order] for of_version, order in zip(logits, orders, strict=True)]


def _transformed_rows(
    release: Release, rows: probe.TransformedTexts, versions: Sequence[TextVersion], settings: ProbeConfig
) -> MetamorphicReport:
    """The rows and what became of them under the reference, the candidate and honest retrainings; no text leaves this step."""
    n_scored = _announce_rows(versions, rows)
    progress.begin("transforming the rows", n_scored)
    logits = [version.kept(ALONE).logits(version.score, rows.texts, progress=progress.advance_current()) for version in versions]
    return probe.compare_transformed(
        rows,
        [of_version[:, 0] for of_version in _in_order(logits, versions, release)],
        probe.Explained(release.snapshot.labels, release.config.attribution.objective, versions[0].independent),
        config=settings,
        decided_on=datetime.now(UTC).date().isoformat(),
        twin_names=[version.snapshot.uri for version in versions[2:]],
        forward_passes=n_scored,
    )


def _probed_pictures(release: Release, snapshots: Sequence[ModelSnapshot], settings: ProbeConfig) -> ProbeReport:
    """The same with patterns pasted onto pictures; they are few, so that nothing is kept."""
    names = list(probe.patterns())
    paths = [example.image for example in dataset.distinct_examples(release) if example.image and example.problem is None]
    paths = paths[:: -(-len(paths) // _CANDIDATES) or 1]
    versions = [PictureVersion(snapshot, release, paths) for snapshot in snapshots]
    contexts = probe.choose_pictures(versions[0].score, paths, settings.contexts)
    n = len(versions) * len(names)
    progress.current().say(f"probe: {len(names)} patterns on {len(contexts)} pictures under {len(versions)} versions")
    progress.begin("pasting patterns onto pictures", n)
    typical = [probe.typical_margin(version.score(paths)) for version in versions]
    advance = progress.advance_current()
    found = [probe.pattern_logits(version.score, contexts, progress=advance) for version in versions]
    effects = [probe.effects_of(logits) for logits in _in_order(found, versions, release)]
    return _compared(
        release,
        snapshots,
        effects,
        names,
        contexts,
        unit="pattern",
        forward_passes=n * len(contexts),
        typical=typical,
        config=settings,
    )


def _compared(
    release: Release,
    snapshots: Sequence[ModelSnapshot],
    effects: Sequence[probe.FloatArray],
    names: Sequence[str],
    contexts: Sequence[ProbeContext | PatchContext],
    **details: Any,
) -> ProbeReport:
    """The report from the effects on every version, in the order reference, candidate, twins."""
    reference, candidate, *twins = effects
    return probe.compare_effects(
        reference,
        candidate,
        names,
        contexts,
        labels=release.snapshot.labels,
        decided_on=datetime.now(UTC).date().isoformat(),
        twins=twins,
        twin_names=[snapshot.uri for snapshot in snapshots[2:]],
        **details,
    )


def _announce_words(
    versions: Sequence[TextVersion], known: probe.KnownWords, contexts: Sequence[ProbeContext], rounds: Sequence[ProbeRound]
) -> None:
    """Say what the probe will cost, at most: what earlier runs scored costs nothing."""
    left = f", {known.n_left_out:,} more left out (probe.max_words)" if known.n_left_out else ""
    first = f"{rounds[0].n_contexts} of {len(contexts)}" if len(rounds) > 1 else f"{len(contexts)}"
    searched = "".join(f", the strongest {one.n_words:,} in {one.n_contexts}" for one in rounds[1:])
    progress.current().say(
        f"vocabulary probe: {len(known.words):,} words{left} in {first} contexts{searched}, "
        f"under {len(versions)} versions: {len(versions) * probe.n_texts(rounds):,} texts, less what earlier runs scored"
    )


def _announce_rows(versions: Sequence[TextVersion], rows: probe.TransformedTexts) -> int:
    """Say what transforming the rows will cost; the number of texts still to be scored, over all versions."""
    missing = [(version, version.kept(ALONE).missing(rows.texts)) for version in versions]
    seconds = sum(len(rest) * probe.seconds_per_word(version.score, rest, ALONE) for version, rest in missing if rest)
    n = sum(len(rest) for _, rest in missing)
    applied = ", ".join(f"{name} {len(changed):,}" for name, changed in rows.changed.items())
    cost = f"{n:,} texts still to be scored, about {max(1, round(seconds))} s" if n else "all scored in earlier runs"
    progress.current().say(
        f"transformed rows: {len(rows.rows):,} rows ({applied} of them) under {len(versions)} versions; {cost}"
    )
    return n


class _JudgedProbe(NamedTuple):
    version: str
    at: datetime
    failed: bool


class _DoubtError(Exception):
    """Why the outcomes of the earlier versions are not known."""


def _by_earlier(snapshot: ModelSnapshot, settings: ProbeConfig, trusted: TrustList) -> ProbeLevel:
    try:
        earlier = _earlier(snapshot, trusted)
    except _DoubtError as doubt:
        return ProbeLevel(rule="none", level=settings.level, configured=settings.level, doubt=str(doubt))
    return ProbeLevel(
        rule="LORD++",
        level=probe.lord_level([one.failed for one in earlier], settings.level, settings.level_floor),
        configured=settings.level,
        floor=min(settings.level_floor, settings.level),
        earlier=tuple(one.version for one in earlier),
        failed=tuple(one.version for one in earlier if one.failed),
    )


def _earlier(snapshot: ModelSnapshot, trusted: TrustList) -> list[_JudgedProbe]:
    """The versions whose probe was first judged before this one's was, oldest first."""
    if snapshot.source is not ModelSource.REGISTRY:
        raise _DoubtError("the model is no version of a registered model")
    own = _judged(registry.parse_model_ref(snapshot.uri), trusted)
    try:
        others = registry.other_versions(snapshot)[:MOST_VERSIONS]
    except CaligError as error:
        raise _DoubtError(f"the versions of {snapshot.name} cannot be listed: {error.problem}") from error
    judged = [one for ref in others if (one := _judged(ref, trusted)) is not None]
    return sorted((one for one in judged if own is None or one.at < own.at), key=lambda one: (one.at, int(one.version)))


def _judged(ref: ModelRef, trusted: TrustList) -> _JudgedProbe | None:
    """The version's first judged probe; later ones are the same test again. None: its probe was never judged."""
    try:
        evidence = standing.verified_evidence(ref, trusted)
    except (registry.NeverExplainedError, registry.GivenUpError):
        return None
    except CaligError as error:
        raise _DoubtError(f"version {ref.version} {standing.reason_unusable(error)}") from error
    first = next((one for one in evidence.probes if _was_judged(one)), None)
    return None if first is None else _JudgedProbe(str(ref.version), first.created_at, first.verdict is CheckVerdict.FAIL)


def _was_judged(past: PastProbe) -> bool:
    return past.verdict in {CheckVerdict.PASS, CheckVerdict.FAIL}

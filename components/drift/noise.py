"""Noise floor of drift: what honest retraining, and the error of the numbers, change in it (deploy/docs/method.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.common.errors import InputError
from components.drift.comparability import obstacle, other_baseline, shortfall
from components.drift.matching import Collected, match
from components.drift.pairing import Pairs
from components.drift.sets import WordSet
from components.drift.statistics.registry import judged, mean_of
from components.drift.statistics.set_shift import set_noise
from components.drift.statistics.word_shift import unit_of_effects, word_shifts
from components.table.rows import Row, read_rows
from schemas.config import DriftConfig
from schemas.drift import Noise, NullPair
from schemas.reference import NoiseSources, NullProfiles, ReferenceProfile

_SAMPLING = "intervals by bootstrap over the examples; the word shift's z and q"

#: Mean Spearman correlation of two versions' word attributions above which one is a copy of the other, or nearly: training again
#: by another seed gives 0.85 … 0.87 (components/drift/limits.py), the same weights in bfloat16 more than 0.99.
_NEAR_COPY = 0.98

#: A version's number and its rows.
Version = tuple[str, Mapping[str, Row]]

#: 99th percentile of a Gumbel distribution, in standard deviations above its mean: √6/π · (−ln(−ln 0.99) − 0.5772).
_GUMBEL_99 = 3.1367


def measure_noise(
    reference: ReferenceProfile,
    theirs: Mapping[str, Row],
    ours: Mapping[str, Row],
    sources: NoiseSources,
    config: DriftConfig,
    sets: Sequence[WordSet] = (),
) -> Noise:
    """All layers of the noise floor, from the first source of retraining noise that gives enough pairs.

    Args:
        reference, theirs: the version compared with, and its rows.
        ours: the candidate's rows.
        sources: twins and history, in order of preference, and the more exact run.
        config: settings; `min_null_pairs` decides what is enough.
        sets: sets of words that are tested together; the correlation of their words is measured too.
    """
    numerics, n_rows = numerics_noise(ours, {k: row for k, row in read_rows(sources.numerics).items() if k in ours}, reference)
    skipped = [sources.problem] if sources.problem else []
    for source in sources.nulls:
        pairs, without = _retraining(reference, theirs, source, config, sets)
        skipped += [*source.skipped, *without]
        if len(pairs) >= config.min_null_pairs:
            break
        skipped += (
            [f"{len(pairs)} pairs of {_NAMES[source.kind]} are too few, {config.min_null_pairs} are needed"] if pairs else []
        )
    else:
        source, pairs = None, ()
    measured = max(1.0, upper([pair.excess for pair in pairs])) if pairs else 1.0
    compared = {version for pair in pairs for version in (pair.reference, pair.candidate)}
    identities = [profile.identity for profile in source.profiles] if source else []
    return Noise(
        sampling=_SAMPLING,
        numerics=numerics,
        numerics_rows=n_rows,
        retraining=source.kind if source else "prior",
        pairs=pairs,
        factor=min(measured, config.noise_cap),
        uncapped=measured if measured > config.noise_cap else None,
        versions=tuple(identity for identity in identities if identity.version in compared),
        skipped=tuple(dict.fromkeys(skipped)),
    )


_NAMES = {"twins": "reseeded twins", "history": "accepted earlier versions"}


def null_pair(reference: str, candidate: str, found: Collected, config: DriftConfig, sets: Sequence[WordSet] = ()) -> NullPair:
    """What one honest retraining changes, by the statistics that judge a candidate."""
    examples, profile = found.examples, found.layer_profile
    shifts = [s for s in word_shifts(examples, config) if s.length == 1]
    most = max(shifts, key=lambda s: excess(s.effect, s.z, config), default=None)
    means = {limit.setting: mean_of(one, examples) for one, limit in judged() if one.noise is not None}
    return NullPair(
        reference=reference,
        candidate=candidate,
        n=len(examples),
        word="" if most is None else most.word,
        shift=0.0 if most is None else most.shift,
        effect=0.0 if most is None else most.effect,
        z=0.0 if most is None else most.z,
        excess=0.0 if most is None else excess(most.effect, most.z, config),
        rank_agreement=means.pop("rank_agreement"),
        sign_flip=means.pop("sign_flip"),
        layer_distance=None if profile is None else profile.distance,
        further=means,
        sets=set_noise(examples, sets),
    )


def excess(effect: float, z: float, config: DriftConfig) -> float:
    """The factor by which both minimum effects can be raised before a word no longer exceeds them; it needs both at once.

    One number for the pair (effect, z): a word with a tiny but certain shift and one with a large but rare shift do not add
    up to a limit that nothing meets.
    """
    return min(abs(effect) / config.word_shift, abs(z) / config.word_shift_z)


def upper(values: Sequence[float]) -> float:
    """The limit that an honest pair should exceed in 1 % of cases, from few honest pairs.

    The 99th percentile of a Gumbel distribution fitted by moments, since each value is a maximum over words, and never
    less than the largest value seen.
    """
    known = np.array(values)
    spread = float(known.std(ddof=1)) if len(known) > 1 else 0.0
    return max(float(known.max()), float(known.mean()) + _GUMBEL_99 * spread)


def numerics_noise(ours: Mapping[str, Row], exact: Mapping[str, Row], reference: ReferenceProfile) -> tuple[float | None, int]:
    """The largest change of any word's effect between the run in use and a more exact one, and over how many rows."""
    examples = list(Pairs({key: ours[key] for key in exact}, exact, reference.labels))
    if not examples:
        return None, 0
    outputs = [e.outputs[0] for e in examples if e.outputs is not None]
    differences, masses = np.array([(e.differences[0], e.mass[0]) for e in examples]).T
    unit = unit_of_effects(differences, masses, np.array(outputs))
    changes = [np.abs(e.mass[1] * e.candidate - e.mass[0] * e.reference).max() / unit for e in examples]
    return float(max(changes)), len(examples)


def _retraining(
    reference: ReferenceProfile, theirs: Mapping[str, Row], source: NullProfiles, config: DriftConfig, sets: Sequence[WordSet]
) -> tuple[tuple[NullPair, ...], list[str]]:
    """The pairs of one source, and what was left out: twins all against all, the reference too; history one after another.

    A near copy of another version is left out: it shows no training noise, and beside one odd version several copies make the
    spread, and with it the limits, larger than that version alone could.
    """
    usable, skipped = _readable(reference, source)
    kept: list[Version] = [(reference.identity.version, theirs)] if source.kind == "twins" else usable[:1]
    pairs: list[NullPair] = []
    for version in usable if source.kind == "twins" else usable[1:]:
        earlier = kept if source.kind == "twins" else kept[-1:]
        found, without = _compared(earlier, version, reference.labels, config, sets)
        copied = next((pair.reference for pair in found if is_near_copy(pair)), None)
        if copied is not None:
            skipped.append(f"version {version[0]}: its attributions are those of version {copied}, a near copy shows no noise")
            continue
        kept.append(version)
        pairs += found
        skipped += without
    return tuple(pairs), skipped


def is_near_copy(pair: NullPair) -> bool:
    """Whether two versions agree far beyond what training again by another seed gives."""
    return pair.rank_agreement is not None and pair.rank_agreement > _NEAR_COPY


def _compared(
    earlier: Sequence[Version], version: Version, labels: Sequence[str], config: DriftConfig, sets: Sequence[WordSet]
) -> tuple[list[NullPair], list[str]]:
    """`version` against each of the `earlier` ones, and what could not be compared."""
    pairs: list[NullPair] = []
    skipped: list[str] = []
    for name, rows in earlier:
        pairing = match(rows, version[1], labels, config=config)
        short = shortfall(pairing.coverage, config)
        if short is None:
            pairs.append(null_pair(name, version[0], pairing.found, config, sets))
        else:
            skipped.append(f"versions {name} and {version[0]}: {short[0]}")
    return pairs, skipped


def _readable(reference: ReferenceProfile, source: NullProfiles) -> tuple[list[Version], list[str]]:
    usable: list[Version] = []
    skipped: list[str] = []
    for profile in source.profiles:
        version = profile.identity.version
        reason = obstacle(profile, reference.identity.method_fingerprint, reference.dataset_digest, reference.labels)
        try:
            reason = reason or other_baseline(reference.tables, profile.tables)
            if reason is None:
                usable.append((version, read_rows(profile.tables)))
        except InputError as error:
            reason = str(error).split("\n", 1)[0]
        if reason is not None:
            skipped.append(f"version {version}: {reason.replace('the reference was', 'it was')}")
    return usable, skipped

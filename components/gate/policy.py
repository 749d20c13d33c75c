"""Compares the settings that a record was made by with the gate's: the same or stricter; and who signed it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.base import CheckVerdict, Severity
from schemas.config import GateConfig, PipelineConfig
from schemas.evidence import Evidence, SealState, Standing, Verification
from schemas.gate import GateCheck
from schemas.governance import GovernanceReport
from schemas.release import ModelRef

#: Settings of which more is stricter: more is computed, asked for, or found.
_HIGHER = {
    "attribution.max_length",
    "attribution.max_points",
    "drift.false_discovery_rate",
    "drift.min_coverage",
    "drift.min_rows",
    "drift.numerics_rows",
    "drift.phrase_words",
    "drift.rank_agreement",
    "probe.contexts",
    "probe.enabled",
    "probe.level",
    "probe.level_floor",
    "probe.max_words",
    "probe.transformed_rows",
    "probe.warning_level",
    "drift.warning_discovery_rate",
    "quality.bootstrap_draws",
    "quality.control_rows",
    "quality.falsification_points",
    "quality.falsification_rows",
    "quality.infidelity_draws",
    "quality.random_draws",
    "quality.scored_rows",
    "quality.sensitivity_draws",
}
#: Settings of which less is stricter.
_LOWER = {
    "attribution.reduced",
    "attribution.tolerance",
    "drift.min_occurrences",
    "drift.noise_cap",
    "drift.set_shift",
    "drift.sign_flip",
    "drift.twin_tags",
    "drift.word_shift",
    "drift.word_shift_z",
    "drift.warning_shift",
    "drift.warning_shift_z",
    "probe.halving",
    "probe.min_effect",
    "probe.noise_cap",
    "probe.transformed_effect",
}
#: Files that add to what is tested: who asks for none has no objection to one.
_ADDING_FILES = ("drift.sets_file", "probe.word_list")
#: Settings that no verdict of a release rests on, or that are compared elsewhere (the suite, by its content).
_FREE = {
    "attribution.batch_tokens",
    "attribution.calibration_rows",
    "attribution.device",
    "attribution.shard_rows",
    "drift.reexplain_reference",
    "drift.worst_examples",
    "quality.scorer",
    "quality.suite",
}
_FREE_SECTIONS = {"monitor", "privacy", "report"}
#: What `fusion_coefficient: auto` chooses.
_CHOSEN = {"attribution.fusion_coefficient", "attribution.fusion_rule", "attribution.context_rule"}
#: An empty setting is the model's own limit, which is the longest, as many points as it takes, or every row; an empty list adds
#: nothing.
_EMPTY: Mapping[str, Any] = dict.fromkeys(
    ("attribution.max_length", "quality.control_rows", "quality.falsification_points", "quality.scored_rows"), float("inf")
)


def more_lenient(recorded: PipelineConfig, asked: PipelineConfig) -> Iterator[str]:
    """Each recorded setting that is neither the one asked for nor stricter, in words. What is not in a table has to be equal."""
    ours, theirs = _flat(asked), _flat(recorded)
    free = _FREE | (_CHOSEN if asked.attribution.fusion_coefficient == "auto" else set())
    for name, wanted in ours.items():
        if name not in free and not _as_strict(name, theirs[name], wanted):
            yield f"{name} is {_shown(theirs[name])}, required {_required(name)}{_shown(wanted)}"


def _flat(config: PipelineConfig) -> dict[str, Any]:
    sections = {name: values for name, values in config.results_dump().items() if name not in _FREE_SECTIONS}
    return {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}


def _as_strict(name: str, recorded: Any, wanted: Any) -> bool:
    recorded, wanted = (_EMPTY.get(name) if value is None else value for value in (recorded, wanted))
    if recorded == wanted or (name in _ADDING_FILES and wanted is None):
        return True
    if name == "drift.twins":  # the watch file may nominate them; who lists any here wants no others
        return not wanted or all(set(twins) <= set(wanted.get(version, ())) for version, twins in recorded.items())
    if name == "probe.across_versions":  # the configured level for every version is the strictest
        return bool(recorded == "none")
    if name == "probe.transformations":
        return set(recorded) >= set(wanted)
    if name in _HIGHER:
        return bool(recorded >= wanted)
    return name in _LOWER and bool(recorded <= wanted)


def _required(name: str) -> str:
    return "at least " if name in _HIGHER else "at most " if name in _LOWER else ""


def _shown(value: Any) -> str:
    return "empty" if value is None else str(value)


_DIGEST_DIGITS = 12
_LISTED = 5


@dataclass(frozen=True)
class Circumstances:
    """What a gate holds a record against, besides its own section of the settings; what is None is not compared."""

    settings: PipelineConfig | None = None
    suite_digest: str | None = None
    #: What @champion is now.
    champion: ModelRef | None = None
    #: Whether there is a list of trusted keys: then signatures are asked for.
    keys_are_trusted: bool = False
    #: How the version's files differ from what was explained; empty: not at all. None: not looked at.
    other_content: str | None = None


def policy_checks(
    evidence: Evidence, config: GateConfig, around: Circumstances, standing: Standing | None
) -> Iterator[GateCheck]:
    """Checks of the gate's own; what they find wanting was not judged, so it is inconclusive."""
    record = evidence.record
    if evidence.run_id is not None:
        yield from _published_checks(evidence, around)
        yield from _champion_checks(record, config, around)
    yield from _data_checks(record, config)
    yield from _settings_checks(record, config, around)
    if config.require_signature or around.keys_are_trusted:
        signed = standing is not None and standing.seal.state is SealState.SIGNED
        said = "required: by a trusted key"
        yield gate_check("signature", signed, f"{signature_of(None if standing is None else standing.seal)}; {said}")


def signature_of(seal: Verification | None) -> str:
    """Who signed, in one line; everything but a trusted key's signature is NOT SIGNED."""
    if seal is None:
        return "NOT SIGNED: nobody looked"
    if seal.state is SealState.SIGNED:
        return f"signed by {seal.signed_by} (key {seal.key_id})"
    if seal.state is SealState.UNKNOWN_KEY:
        return f"NOT SIGNED by a trusted key (unknown key {seal.key_id})"
    return "NOT SIGNED"


def gate_check(name: str, held: bool, text: str) -> GateCheck:
    """A check of the gate's own."""
    verdict = CheckVerdict.PASS if held else CheckVerdict.INCONCLUSIVE
    return GateCheck(group="gate", name=name, verdict=verdict, severity=Severity.CRITICAL, text=text)


def _published_checks(evidence: Evidence, around: Circumstances) -> Iterator[GateCheck]:
    """Whether the record is the newest one, and about the very thing that the registry holds."""
    registered, given_up = evidence.record.model.registered, evidence.given_up
    doubts = (*evidence.doubts, *(() if given_up is None else (f"explaining it again was given up: {given_up}",)))
    yield gate_check("newest", not doubts, _listed(doubts) or "no newer explanation of this version was found")
    if registered is None:
        text = "the record does not say which entry of the registry it is about: it was made before schema version 3"
    else:
        text = "the record and the registry name the same entry: time, source, run and logged model"
    held = registered is not None and registered == evidence.registered
    yield gate_check("version", held, text if held or registered is None else "the registry's entry is not what was explained")
    if around.other_content is not None:
        same = "weights, tokenizer or processor, and all evidence are as they were explained and sealed"
        yield gate_check("content", not around.other_content, around.other_content or same)


def _champion_checks(record: GovernanceReport, config: GateConfig, around: Circumstances) -> Iterator[GateCheck]:
    """Whether the comparison was made with what the policy names."""
    champion = None if around.champion is None else (around.champion.name, str(around.champion.version))
    if config.reference == "any" or (
        config.reference == "champion" and champion in {None, (record.model.name, record.model.version)}
    ):
        return
    asked, name = champion, "@champion"
    if config.reference != "champion":
        named, _, version = config.reference.removeprefix("models:/").rpartition("/")
        asked, name = (named, version), config.reference
    reference = record.drift.reference
    compared = None if reference is None or record.drift.verdict is CheckVerdict.NOT_APPLICABLE else reference
    against = "nothing" if compared is None else f"{compared.name} version {compared.version}"
    held = compared is not None and (compared.name, compared.version) == asked
    required = "" if asked is None else f" (version {asked[1]})"
    yield gate_check("compared with", held, f"compared with {against}, required: with {name}{required}")


def _data_checks(record: GovernanceReport, config: GateConfig) -> Iterator[GateCheck]:
    data, n = record.data.dataset, record.data.n_explained
    if config.dataset is not None:
        text = f"explained on {data.name}, SHA-256 {data.digest}; required: {config.dataset}"
        yield gate_check("data set", _is(config.dataset, data.name, data.digest), text)
    if config.min_rows is not None:
        yield gate_check("rows", n >= config.min_rows, f"{n} rows were explained, required at least {config.min_rows}")


def _settings_checks(record: GovernanceReport, config: GateConfig, around: Circumstances) -> Iterator[GateCheck]:
    quality = record.quality
    judged = f"judged by suite {quality.suite}, SHA-256 {quality.suite_digest or 'not recorded'}"
    if config.suite is not None:
        yield gate_check("suite", _is(config.suite, quality.suite, quality.suite_digest), f"{judged}; required: {config.suite}")
    elif around.suite_digest is not None:
        held = quality.suite_digest == around.suite_digest
        yield gate_check("suite", held, f"{judged}; required: SHA-256 {around.suite_digest}")
    if around.settings is not None:
        lenient = tuple(more_lenient(record.config, around.settings))
        yield gate_check("settings", not lenient, _listed(lenient) or "every setting is the required one or stricter")


def _is(asked: str, name: str, digest: str | None) -> bool:
    by_digest = len(asked) >= _DIGEST_DIGITS and digest is not None and digest.startswith(asked.lower())
    return asked == name or by_digest


def _listed(texts: Sequence[str]) -> str:
    more = f"; and {len(texts) - _LISTED} more" if len(texts) > _LISTED else ""
    return "; ".join(texts[:_LISTED]) + more

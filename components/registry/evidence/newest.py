"""Find the newest explanation of one version, or of every version of a model, in all of its runs; tags choose nothing.

Who may write to the tracking server without a trusted key can copy old signed evidence into new runs, take marks away, delete
runs and put files over others. So nothing that can be edited chooses: a signed record dates itself, and whatever else could be
a newer explanation is a doubt, on which no pass can rest. The run's parameters and its start cannot be changed after the fact.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from components.common.errors import CaligError, InputError
from components.records import read_record
from components.registry.connection import connect, tracking_errors
from components.registry.evidence.documents import read_papers
from components.registry.evidence.runs import is_complete, run_url, runs_of_version
from components.registry.versions.lookup import all_versions, registered_as, registered_model, resolve_version
from schemas.evidence import Evidence, PastProbe, RunPapers, SealState, Verification, VersionEntry
from schemas.governance import GovernanceReport
from schemas.release import ModelRef, ModelSource, RegisteredVersion
from schemas.tags import Tag

#: What the bytes of a record and of its seal turn out to be, by the caller's trusted keys; what does not hold is a state.
Verify = Callable[[bytes, bytes | None], Verification]
_NEVER = "never explained"


class NeverExplainedError(InputError):
    """The version has no explanation at all."""


class GivenUpError(InputError):
    """The version has no explanation at all, and the trigger gave up making one."""


def newest_explanation(ref: ModelRef, verify: Verify) -> Evidence:
    """The newest complete explanation of the version that `ref` names; one signed by a trusted key comes before all others.

    `doubts` of the answer are not empty when a newer one may exist.

    Raises:
        InputError: no registry version, one that was never explained or given up, or no evidence that is its own.
        CouldNotRunError: the tracking server or its storage does not answer.
    """
    if ref.source is not ModelSource.REGISTRY:
        raise InputError(
            "Only versions of registered models have published evidence.",
            got=ref.uri,
            allowed="models:/NAME/VERSION, models:/NAME@alias, or a results folder",
        )
    client = connect()
    return newest_of(client, resolve_version(client, ref), verify)


def newest_of(client: Any, version: Any, verify: Verify) -> Evidence:
    """The same for an MLflow `ModelVersion`; errors as above."""
    uri = f"models:/{version.name}/{version.version}"
    with tracking_errors(f"read the evidence of {uri}"):
        runs = runs_of_version(client, version.name, str(version.version))
        looked_at = [_look_at(client, run, version, verify) for run in runs]
    found = _without_copies([one for one in looked_at if not one.begun_in_vain])
    chosen = _newest([one for one in found if one.counts])
    if chosen is None:
        raise _nothing_usable(found, version, uri)
    others = tuple(one.papers for one in found if one is not chosen and one.papers is not None and one.papers.sign_offs)
    return Evidence(
        record=chosen.record,
        run_id=chosen.run.info.run_id,
        run_url=run_url(client.tracking_uri, chosen.run),
        seal=chosen.seal,
        papers=(chosen.papers, *others),
        registered=registered_as(version),
        doubts=(*_doubts(chosen, found), *_missing(version, runs)),
        probes=tuple(_probes(chosen, found)),
        given_up=version.tags.get(Tag.REASON),
    )


def timeline(name: str, verify: Verify) -> tuple[VersionEntry, ...]:
    """Every version of the model `name` with its newest explanation, or why it has none; oldest first.

    Raises:
        InputError: there is no such model, or it has no version.
        CouldNotRunError: the registry does not answer.
    """
    client = connect()
    with tracking_errors(f"list the versions of {name}"):
        model = registered_model(client, name)
        versions = sorted(all_versions(client, name), key=lambda version: int(version.version))
    if not versions:
        raise InputError(f"The model {name!r} has no versions yet.", next_step="register one, then: calig explain")
    aliases: dict[str, list[str]] = defaultdict(list)
    for alias, number in sorted(model.aliases.items()):
        aliases[str(number)].append(alias)
    return tuple(_entry(client, version, verify, tuple(aliases[str(version.version)])) for version in versions)


@dataclass(frozen=True)
class _Found:
    """One run of the version, and what it holds; `problem`: why its record is not this version's evidence."""

    run: Any
    papers: RunPapers | None
    record: GovernanceReport | None
    seal: Verification | None
    problem: str = ""

    @property
    def started(self) -> datetime:
        return datetime.fromtimestamp(self.run.info.start_time / 1000, UTC)

    @property
    def signed(self) -> bool:
        return self.seal is not None and self.seal.state is SealState.SIGNED

    @property
    def counts(self) -> bool:
        return not self.problem and not self.unfinished

    @property
    def begun_in_vain(self) -> bool:
        """Whether nothing was ever put into the run: who publishes at the same time as another leaves such a run, deleted."""
        return self.papers is None and Tag.VERSION not in self.run.data.params

    @property
    def unfinished(self) -> str:
        if self.run.info.lifecycle_stage != "active":
            return "was deleted"
        return "" if is_complete(self.run) else "is not marked as complete"

    @property
    def name(self) -> str:
        return f"run {self.run.info.run_id}, started {self.started:%Y-%m-%d %H:%M:%S} UTC,"


def _look_at(client: Any, run: Any, version: Any, verify: Verify) -> _Found:
    papers = read_papers(client, run.info.run_id)
    if papers is None:
        return _Found(run, None, None, None, "holds no record, or none of a size that can be read")
    seal = verify(papers.record, papers.seal)
    if seal.state is SealState.TAMPERED:
        return _Found(run, papers, None, seal, f"does not verify: {'; '.join(seal.findings)}")
    record = read_record(papers.record, f"run {run.info.run_id}")
    return _Found(run, papers, record, seal, _foreign(record, version.name, str(version.version), registered_as(version)))


def _foreign(record: GovernanceReport, name: str, version: str, registered: RegisteredVersion) -> str:
    """Why a record is about another version; empty when it is about this one. A record without the binding names it at least."""
    if (record.model.name, record.model.version) != (name, version):
        return f"is about {record.model.name} {record.model.version}"
    if record.model.registered not in {None, registered}:
        return "is about another version that had this name and number"
    return ""


def _without_copies(found: Sequence[_Found]) -> list[_Found]:
    """The same record in several runs is evidence in the oldest of them; who copies it would make it young, or hide another."""
    seen: set[bytes] = set()
    kept: list[_Found] = []
    for one in sorted(found, key=lambda one: one.started):
        copy = one.papers is not None and one.papers.record in seen
        kept.append(_Found(one.run, one.papers, None, one.seal, "holds a copy of an older run's record") if copy else one)
        seen |= set() if one.papers is None else {one.papers.record}
    return kept


def _newest(usable: Sequence[_Found]) -> Any | None:
    """By the time that the record states, which a signature vouches for; a signed one comes before all others."""
    return max(usable, key=lambda one: (one.signed, one.record.created_at), default=None)  # type: ignore[union-attr]


def _probes(chosen: Any, found: Sequence[_Found]) -> Iterator[PastProbe]:
    """The probes of all usable explanations, oldest first; beside a signed one only signed ones count."""
    usable = [one for one in found if one.counts and one.record is not None and one.signed == chosen.signed]
    for record in sorted((one.record for one in usable if one.record), key=lambda record: record.created_at):
        if record.probe is not None:
            yield PastProbe(created_at=record.created_at, verdict=record.probe.verdict)


def _doubts(chosen: Any, found: Sequence[_Found]) -> Iterator[str]:
    """What may be newer than the chosen evidence."""
    since = chosen.record.created_at
    for one in found:
        if one is not chosen and _moment(one, chosen) > since:
            yield f"{one.name} is newer and {one.problem or one.unfinished or 'is not signed by a trusted key'}"


def _moment(one: _Found, chosen: _Found) -> datetime:
    """When `one` was made: as it says where it is as trustworthy as the chosen one, else no earlier than its run began."""
    if one.record is None or one.problem:
        return one.started
    return one.record.created_at if one.signed or not chosen.signed else max(one.started, one.record.created_at)


def _missing(version: Any, runs: Sequence[Any]) -> Iterator[str]:
    """The version's tag mirrors the newest run; a run that it names and that is nowhere was removed or hidden."""
    named = version.tags.get(Tag.RUN_ID)
    if named is not None and named not in {run.info.run_id for run in runs}:
        yield f"the version's tag {Tag.RUN_ID} names run {named}, which is not among the explanations of this version"


def _nothing_usable(found: Sequence[_Found], version: Any, uri: str) -> InputError:
    unexplained = not found and Tag.RUN_ID not in version.tags
    if (reason := version.tags.get(Tag.REASON)) is not None:
        return (GivenUpError if unexplained else InputError)(
            "Explaining this version was given up: its verdict is inconclusive.",
            got=f"{uri}: {reason}",
            next_step=f"mend that, then set the tag {Tag.RETRY.value} to a new value",
        )
    if unexplained:
        step = f"calig explain {uri} --dataset VALIDATION_SET"
        return NeverExplainedError("This version was never explained.", got=uri, next_step=step)
    newest = max(found, key=lambda one: one.started, default=None)
    why = next(_missing(version, []), "") if newest is None else f"{newest.name} {newest.problem or newest.unfinished}"
    return InputError(
        "No evidence of this version is its own and complete.",
        got=f"{uri}: {why}",
        next_step=f"explain it: calig explain {uri} --dataset VALIDATION_SET --force",
    )


def _entry(client: Any, version: Any, verify: Verify, aliases: tuple[str, ...]) -> VersionEntry:
    evidence, problem = None, _given_up(version) or _NEVER
    try:
        evidence = None if _given_up(version) else newest_of(client, version, verify)
    except NeverExplainedError:
        pass
    except CaligError as error:  # one version's trouble must not hide the others
        problem = f"its evidence cannot be read: {' '.join(str(error).split())}"
    created = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    return VersionEntry(
        version=str(version.version),
        created_at=created,
        aliases=aliases,
        evidence=evidence,
        problem=None if evidence else problem,
    )


def _given_up(version: Any) -> str | None:
    """Why the trigger gave this version up, if it did."""
    reason = version.tags.get(Tag.REASON)
    return None if reason is None else f"given up: {reason}"

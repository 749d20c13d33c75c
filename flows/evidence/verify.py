"""`calig verify`: checks that a version's evidence is as it was sealed and signed off, and by whom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components import registry, signing
from components.common.stores import is_address
from components.records import read_record
from flows.cli.output import Terminal, mark, safe
from flows.evidence.standing import chains_of, evidence_of
from schemas.base import CheckVerdict
from schemas.config import PipelineConfig
from schemas.evidence import Evidence, Link, ReferenceChain, RunPapers, SealState, Standing, Verification
from schemas.governance import GovernanceReport
from schemas.reference import ReferenceIdentity
from schemas.signature import Chain, SignOff, TrustList

_FIRST = "the first release: it was compared with nothing"
_LINK_STATES = {
    SealState.SIGNED: "[green]✓ signed by[/]",
    SealState.UNSIGNED: "[yellow]unchanged, not signed[/]",
    SealState.UNSEALED: "[yellow]? no seal[/]",
    SealState.UNKNOWN_KEY: "[red]✗ unknown key[/]",
    SealState.TAMPERED: "[red]✗ tampered with[/]",
}


def follow_references(evidence: Evidence, seal: Verification, trusted: TrustList) -> ReferenceChain:
    """Follow the chain of references from `evidence`, whose files were verified to be `seal`.

    Raises:
        CouldNotRunError: the tracking server or its storage does not answer.
    """
    record = evidence.record
    links = [_link(record.model.name, record.model.version, evidence.run_id, seal, record)]
    while (reference := record.drift.reference) is not None:
        if reference.record_sha256 is None:
            end = f"version {record.model.version} does not name the record it was compared with: it is from before records did"
            return ReferenceChain(links=tuple(links), complete=False, end=end)
        link, earlier = _step(reference, reference.record_sha256, trusted)
        links.append(link)
        if earlier is None:
            return ReferenceChain(links=tuple(links), complete=False, end=link.problem)
        record = earlier
    complete = record.drift.verdict is CheckVerdict.NOT_APPLICABLE
    return ReferenceChain(links=tuple(links), complete=complete, end=_FIRST if complete else record.drift.reason)


def chain_exit_code(chain: ReferenceChain, exit_code: Callable[[Verification], int]) -> int:
    """2: a link is missing, replaced or does not verify; 3: one is unsigned though it should be, or the chain is not complete."""
    codes = [2 if link.seal is None else exit_code(link.seal) for link in chain.links]
    return 2 if 2 in codes else max(*codes, 0 if chain.complete else 3)


def show_chain(chain: ReferenceChain) -> None:
    """The chain as a table, the version itself first."""
    table = Table(title="what it was compared with", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in ("version", "verdict", "evidence", "record", "run"):
        table.add_column(heading, overflow="fold")
    for link in chain.links:
        table.add_row(*_cells(link))
    console = Console()
    console.print(table)
    for finding in (finding for link in chain.links if link.seal is not None for finding in link.seal.findings):
        console.print(f"• {safe(finding)}", highlight=False)
    console.print(f"{'[green]✓[/]' if chain.complete else '[yellow]![/]'} ends with {safe(chain.end)}", highlight=False)


def _step(reference: ReferenceIdentity, digest: str, trusted: TrustList) -> tuple[Link, GovernanceReport | None]:
    """The explanation with this record, every file of it verified; no record where the chain cannot be followed."""
    papers, runs = registry.find_record(reference.name, reference.version, digest)
    if papers is None:
        return _lost(reference, digest, runs), None
    seal = _verified_reference(papers, trusted)
    if seal.state is SealState.TAMPERED:
        link = _link(reference.name, reference.version, papers.run_id, seal, None, problem="evidence that was tampered with")
        return link, None
    record = read_record(papers.record, f"run {papers.run_id}")
    return _link(reference.name, reference.version, papers.run_id, seal, record), record


def _verified_reference(papers: RunPapers, trusted: TrustList) -> Verification:
    with TemporaryDirectory(prefix="calig-chain-") as temporary:
        return signing.verify_folder(registry.download_run(papers.run_id, Path(temporary)), trusted)


def _lost(reference: ReferenceIdentity, digest: str, runs: tuple[str, ...]) -> Link:
    where = f"version {reference.version}"
    if reference.run_id in runs:
        problem = f"another record: run {reference.run_id} of {where} no longer holds the one that was compared with"
    else:
        problem = f"a missing record: no explanation of {where} holds the one that was compared with"
    return Link(
        model=reference.name,
        version=reference.version,
        run_id=None,
        record_sha256=digest,
        seal=None,
        verdict=None,
        problem=problem,
    )


def _link(
    name: str, version: str, run_id: str | None, seal: Verification, record: GovernanceReport | None, problem: str = ""
) -> Link:
    return Link(
        model=name,
        version=version,
        run_id=run_id,
        record_sha256=seal.record_sha256,
        seal=seal,
        verdict=None if record is None else record.decision.verdict,
        problem=problem,
    )


def _cells(link: Link) -> tuple[str, ...]:
    state = "[red]✗ not found[/]" if link.seal is None else _LINK_STATES[link.seal.state]
    signed_by = f" {safe(link.seal.signed_by)}" if link.seal is not None and link.seal.signed_by else ""
    verdict = "–" if link.verdict is None else mark(link.verdict)
    return safe(f"{link.model}/{link.version}"), verdict, f"{state}{signed_by}", link.record_sha256[:12], link.run_id or "–"


_SAID = {
    SealState.SIGNED: "[green]✓ verified[/]",
    SealState.UNSIGNED: "[green]✓ unchanged since it was sealed[/], but [yellow]not signed[/]: whoever can write it can seal it",
    SealState.UNSEALED: "[yellow]? cannot be verified[/]",
    SealState.UNKNOWN_KEY: "[red]✗ signed by an unknown key[/]",
    SealState.TAMPERED: "[red]✗ does not verify: tampered with[/]",
}


def run_verify(model: str, config: PipelineConfig, *, require_signature: bool, chain: bool, as_json: bool) -> int:
    """The exit code: 0 verified, 2 tampered with or signed by an unknown key, 3 unsigned although a signature is required, or
    a newer explanation may exist that cannot be relied on. With `chain` that of the worst link back to the first release.

    Raises:
        InputError: there is no evidence, it is of a newer schema, or a sign-off does not hold.
    """
    trusted = signing.load_trust(config.governance.trusted_keys)
    standing, chains = _verified(model, trusted)
    if chain and standing.seal.state is not SealState.TAMPERED:
        standing = standing.model_copy(update={"chain": follow_references(evidence_of(model, trusted), standing.seal, trusted)})
    _show(standing, chains, as_json=as_json)
    return _exit_code(standing, require_signature or config.gate.require_signature)


def download_verified(evidence: Evidence, folder: Path, trusted: TrustList) -> tuple[Path, Verification]:
    """Everything that is published for a version, downloaded into `folder`, and what its seal says."""
    place = registry.download_evidence(evidence, folder)
    return place, signing.verify_folder(place, trusted)


def _verified(model: str, trusted: TrustList) -> tuple[Standing, tuple[Chain, ...]]:
    in_folder = not is_address(model) and Path(model).is_dir()
    if in_folder:
        seal = signing.verify_folder(Path(model), trusted)
        if seal.state is SealState.TAMPERED:
            return Standing(seal=seal, sign_off=None), ()
    evidence = evidence_of(model, trusted)
    if not in_folder:
        with TemporaryDirectory() as temporary:
            _, seal = download_verified(evidence, Path(temporary), trusted)
    chains = () if seal.state is SealState.TAMPERED else chains_of(evidence, trusted)
    return Standing(seal=seal, sign_off=signing.standing(chains), doubts=evidence.doubts), chains


def _exit_code(standing: Standing, require_signature: bool) -> int:
    codes = [_seal_code(standing.seal, require_signature), 3 if standing.doubts else 0]
    if standing.chain is not None:
        codes.append(chain_exit_code(standing.chain, lambda seal: _seal_code(seal, require_signature)))
    return 2 if 2 in codes else max(codes)


def _seal_code(seal: Verification, require_signature: bool) -> int:
    if seal.state in {SealState.TAMPERED, SealState.UNKNOWN_KEY}:
        return 2
    unsigned = seal.state is SealState.UNSEALED or (require_signature and seal.state is not SealState.SIGNED)
    return 3 if unsigned else 0


def _show(standing: Standing, chains: tuple[Chain, ...], *, as_json: bool) -> None:
    if as_json:
        typer.echo(standing.model_dump_json(indent=2))
        return
    console, seal = Terminal(), standing.seal
    console.print(_SAID[seal.state] + (f", signed by {escape(seal.signed_by)} (key {seal.key_id})" if seal.signed_by else ""))
    for finding in (*seal.findings, *standing.doubts):
        console.print(f"• {escape(finding)}", highlight=False)
    console.print(f"record   sha256 {seal.record_sha256}", highlight=False, soft_wrap=True)
    for entry in (entry for chain in chains for entry in chain.entries):
        stands = " [bold]← stands[/]" if entry == standing.sign_off else ""
        console.print(f"sign-off {escape(describe_sign_off(entry))}{stands}", highlight=False, soft_wrap=True)
    if standing.chain is not None:
        show_chain(standing.chain)


def describe_sign_off(entry: SignOff) -> str:
    """A sign-off as one line."""
    until = f" until {entry.expires}" if entry.expires else ""
    return f"{entry.number}: {entry.ruling.value}{until} by {entry.reviewer} on {entry.signed_at.date()}: {entry.reason}"

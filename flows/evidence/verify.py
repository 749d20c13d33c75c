"""`calig verify`: checks that a version's evidence is as it was sealed and signed off, and by whom."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import typer
from rich.markup import escape

from components import registry, signing
from components.common.stores import is_address
from flows.cli.output import Terminal
from flows.evidence.reference_chain import chain_exit_code, follow_references, show_chain
from flows.evidence.standing import chains_of, evidence_of
from schemas.config import PipelineConfig
from schemas.evidence import Evidence
from schemas.signature import TrustList
from schemas.signoff import Chain, SignOff
from schemas.verification import SealState, Standing, Verification

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

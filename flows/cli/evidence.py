"""Commands on published evidence: `calig verify`, `replay`, `card`, `approve`, `reject`, `waive`, `record schema`."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.command import CommandGroup, command
from flows.common.process import DEFAULT_OUTPUT

record_app = typer.Typer(no_args_is_help=True, help="Look at the form of the governance record.")
_PublishedArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="models:/NAME/VERSION, models:/NAME@alias, or a results folder.")
]
_ConfigOption = Annotated[Path | None, typer.Option(help="YAML file with settings; sections `governance` and `gate` count.")]
_JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
_ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="models:/NAME/VERSION or models:/NAME@alias.")]
_ReviewerOption = Annotated[str, typer.Option(help="Your name, as your key is trusted under it.")]
_ReasonOption = Annotated[str, typer.Option(help="Why; it is kept with the decision.")]
_KeyOption = Annotated[Path | None, typer.Option(help="Your private key. Default: setting governance.signing_key.")]


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    for function in (verify, replay, card, approve, reject, waive):
        app.command(rich_help_panel=CommandGroup.EVIDENCE)(function)
    app.add_typer(record_app, name="record", rich_help_panel=CommandGroup.EVIDENCE)


@command()
def verify(
    model: _PublishedArgument,
    require_signature: Annotated[
        bool, typer.Option("--require-signature", help="Unsigned evidence is not enough: exit code 3.")
    ] = False,
    chain: Annotated[
        bool,
        typer.Option("--chain", help="Also verify what it was compared with, and what that was, back to the first release."),
    ] = False,
    config: _ConfigOption = None,
    json: _JsonOption = False,
) -> int:
    """Check that record, tables, report and sign-offs are as they were sealed, and signed by keys that are trusted.

    Exit codes: 0 verified (said, when nobody signed) · 2 tampered with, an unknown key, a newer schema · 3 no seal, or no
    signature although one is required · 4 could not run.

    [bold]Example:[/] calig verify models:/reviews/2 --require-signature
    """
    from components.common.configuration import load_config
    from flows.evidence.verify import run_verify

    return run_verify(model, load_config(config), require_signature=require_signature, chain=chain, as_json=json)


@command()
def replay(
    model: _PublishedArgument,
    rows: Annotated[int, typer.Option(min=1, help="Compute so many rows again, drawn by the record's seed.")] = 16,
    all_rows: Annotated[bool, typer.Option("--all", help="Compute every row again, shard by shard.")] = False,
    dataset: Annotated[
        Path | None, typer.Option(help="Where the data set is now. Default: where the record says. Its digest is checked.")
    ] = None,
    config: _ConfigOption = None,
    output: Annotated[Path, typer.Option(help="Where downloaded models are kept.")] = DEFAULT_OUTPUT,
    json: _JsonOption = False,
) -> int:
    """Compute published attributions again, from the registry's model with the recorded settings, and compare.

    Rows that are the same bit for bit are counted; the others have to be within governance.replay_tolerance. What differs in
    libraries, device and kernels is listed. Exit codes: 0 replayed · 1 differs · 2 bad input · 4 could not run.

    [bold]Example:[/] calig replay models:/reviews/2 --rows 32
    """
    from components.common.configuration import load_config
    from flows.cli.outcome import show_replay
    from flows.common.progress import reporting
    from flows.evidence.replay import ReplayOptions, replay_version

    options = ReplayOptions(None if all_rows else rows, dataset, output)
    with reporting(quiet=json):
        report = replay_version(model, options, load_config(config))
    return show_replay(report, as_json=json)


@command()
def card(
    model: _PublishedArgument,
    file: Annotated[Path | None, typer.Option("--output", help="Write the card here. Default: standard output.")] = None,
) -> int:
    """Write a model card in Hugging Face's format from the record: metadata with results, and text for people.

    [bold]Example:[/] calig card models:/reviews/2 --output README.md
    """
    from components import signing
    from components.card import card_of, write_card
    from flows.evidence.standing import evidence_of

    evidence = evidence_of(model, signing.load_trust(None))
    digest = evidence.papers[0].record_sha256
    if file is None:
        typer.echo(card_of(evidence.record, digest), nl=False)
    else:
        write_card(evidence.record, file, digest)
    return 0


@command()
def approve(
    model: _ModelArgument,
    reviewer: _ReviewerOption,
    reason: _ReasonOption,
    key: _KeyOption = None,
    config: _ConfigOption = None,
) -> int:
    """Approve a version that passed: a signed, dated entry beside its record, after the evidence was verified.

    [bold]Example:[/] calig approve models:/reviews/2 --reviewer Alice --reason "margins looked at, drift explained"
    """
    return _sign_off(model, "approved", reviewer, reason, None, key, config)


@command()
def reject(
    model: _ModelArgument,
    reviewer: _ReviewerOption,
    reason: _ReasonOption,
    key: _KeyOption = None,
    config: _ConfigOption = None,
) -> int:
    """Reject a version: `calig gate` never passes it, also when it is explained again, until a later decision.

    [bold]Example:[/] calig reject models:/reviews/2 --reviewer Alice --reason "leans on a customer's name"
    """
    return _sign_off(model, "rejected", reviewer, reason, None, key, config)


@command()
def waive(
    model: _ModelArgument,
    reviewer: _ReviewerOption,
    reason: _ReasonOption,
    expires: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Last day (UTC) on which the waiver holds.")],
    key: _KeyOption = None,
    config: _ConfigOption = None,
) -> int:
    """Let a version through that did not pass, for a time. It counts only for gates with gate.accept_waivers.

    [bold]Example:[/] calig waive models:/reviews/2 --reviewer Alice --reason "ticket 12" --expires 2026-12-31
    """
    return _sign_off(model, "waived", reviewer, reason, expires.date(), key, config)


def _sign_off(
    model: str, ruling: str, reviewer: str, reason: str, expires: date | None, key: Path | None, config: Path | None
) -> int:
    from components.common.configuration import load_config
    from flows.evidence.sign_off import sign_off
    from schemas.signature import Ruling, SignOffDraft

    settings = load_config(config).governance
    if key is not None:
        settings = settings.model_copy(update={"signing_key": key})
    draft = SignOffDraft(ruling=Ruling(ruling), reviewer=reviewer, reason=reason, expires=expires)
    return sign_off(model, draft, settings)


@record_app.command()
@command(uses_registry=False)
def schema() -> int:
    """Print the JSON Schema of record.json."""
    from schemas.published import record_schema

    typer.echo(record_schema(), nl=False)
    return 0

"""Commands by which a reviewer decides: `calig approve`, `reject`, `waive`."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.entry import exit_with
from flows.cli.options import DEFAULT_OUTPUT, DebugOption, Group, TrackingOption

_ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="models:/NAME/VERSION or models:/NAME@alias.")]
_ReviewerOption = Annotated[str, typer.Option(help="Your name, as your key is trusted under it.")]
_ReasonOption = Annotated[str, typer.Option(help="Why; it is kept with the decision.")]
_KeyOption = Annotated[Path | None, typer.Option(help="Your private key. Default: setting governance.signing_key.")]
_ConfigOption = Annotated[Path | None, typer.Option(help="YAML file with settings; its section `governance` counts.")]


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    app.command(rich_help_panel=Group.EVIDENCE)(approve)
    app.command(rich_help_panel=Group.EVIDENCE)(reject)
    app.command(rich_help_panel=Group.EVIDENCE)(waive)


def approve(
    model: _ModelArgument,
    reviewer: _ReviewerOption,
    reason: _ReasonOption,
    key: _KeyOption = None,
    config: _ConfigOption = None,
    tracking_uri: TrackingOption = None,
    debug: DebugOption = False,
) -> None:
    """Approve a version that passed: a signed, dated entry beside its record, after the evidence was verified.

    [bold]Example:[/] calig approve models:/reviews/2 --reviewer Alice --reason "margins looked at, drift explained"
    """
    _decide(model, "approved", reviewer, reason, None, key, config, tracking_uri, debug)


def reject(
    model: _ModelArgument,
    reviewer: _ReviewerOption,
    reason: _ReasonOption,
    key: _KeyOption = None,
    config: _ConfigOption = None,
    tracking_uri: TrackingOption = None,
    debug: DebugOption = False,
) -> None:
    """Reject a version: `calig gate` never passes it, also when it is explained again, until a later decision.

    [bold]Example:[/] calig reject models:/reviews/2 --reviewer Alice --reason "leans on a customer's name"
    """
    _decide(model, "rejected", reviewer, reason, None, key, config, tracking_uri, debug)


def waive(
    model: _ModelArgument,
    reviewer: _ReviewerOption,
    reason: _ReasonOption,
    expires: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Last day (UTC) on which the waiver holds.")],
    key: _KeyOption = None,
    config: _ConfigOption = None,
    tracking_uri: TrackingOption = None,
    debug: DebugOption = False,
) -> None:
    """Let a version through that did not pass, for a time. It counts only for gates with gate.accept_waivers.

    [bold]Example:[/] calig waive models:/reviews/2 --reviewer Alice --reason "ticket 12" --expires 2026-12-31
    """
    _decide(model, "waived", reviewer, reason, expires.date(), key, config, tracking_uri, debug)


def _decide(  # noqa: PLR0913, PLR0917 - what the three commands share
    model: str,
    ruling: str,
    reviewer: str,
    reason: str,
    expires: date | None,
    key: Path | None,
    config: Path | None,
    tracking_uri: str | None,
    debug: bool,
) -> None:
    from flows.common.process import prepare

    prepare(debug=debug, tracking_uri=tracking_uri, output=DEFAULT_OUTPUT, offline=True)

    def run() -> int:
        from components.common.configuration import load_config
        from flows.evidence.sign_off import Decided, sign_off
        from schemas.signoff import Ruling

        settings = load_config(config).governance
        if key is not None:
            settings = settings.model_copy(update={"signing_key": key})
        decided = Decided(ruling=Ruling(ruling), reviewer=reviewer, reason=reason, expires=expires)
        return sign_off(model, decided, settings)

    exit_with(run, debug=debug)

"""Commands on the record and what vouches for it: `calig verify`, `replay`, `card`, `record schema`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli import keys, review
from flows.cli.entry import exit_with
from flows.cli.options import DEFAULT_OUTPUT, DebugOption, Group, TrackingOption

record_app = typer.Typer(no_args_is_help=True, help="Look at the form of the governance record.")

_PublishedArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="models:/NAME/VERSION, models:/NAME@alias, or a results folder.")
]
_ConfigOption = Annotated[Path | None, typer.Option(help="YAML file with settings; sections `governance` and `gate` count.")]
_JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


def register(app: typer.Typer) -> None:
    """Add these commands, and those about keys and sign-offs, to `app`."""
    app.command(rich_help_panel=Group.EVIDENCE)(verify)
    app.command(rich_help_panel=Group.EVIDENCE)(replay)
    app.command(rich_help_panel=Group.EVIDENCE)(card)
    app.add_typer(record_app, name="record", rich_help_panel=Group.EVIDENCE)
    keys.register(app)
    review.register(app)


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
    tracking_uri: TrackingOption = None,
    json: _JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Check that record, tables, report and sign-offs are as they were sealed, and signed by keys that are trusted.

    Exit codes: 0 verified (said, when nobody signed) · 2 tampered with, an unknown key, a newer schema · 3 no seal, or no
    signature although one is required · 4 could not run.

    [bold]Example:[/] calig verify models:/reviews/2 --require-signature
    """
    from flows.common.process import prepare

    prepare(debug=debug, tracking_uri=tracking_uri, output=DEFAULT_OUTPUT, offline=True)

    def run() -> int:
        from components.common.configuration import load_config
        from flows.evidence.verify import run_verify

        return run_verify(model, load_config(config), require_signature=require_signature, chain=chain, as_json=json)

    exit_with(run, debug=debug)


def replay(  # noqa: PLR0913, PLR0917 - each option of the command is one
    model: _PublishedArgument,
    rows: Annotated[int, typer.Option(min=1, help="Compute so many rows again, drawn by the record's seed.")] = 16,
    all_rows: Annotated[bool, typer.Option("--all", help="Compute every row again, shard by shard.")] = False,
    dataset: Annotated[
        Path | None, typer.Option(help="Where the data set is now. Default: where the record says. Its digest is checked.")
    ] = None,
    config: _ConfigOption = None,
    tracking_uri: TrackingOption = None,
    output: Annotated[Path, typer.Option(help="Where downloaded models are kept.")] = DEFAULT_OUTPUT,
    json: _JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Compute published attributions again, from the registry's model with the recorded settings, and compare.

    Rows that are the same bit for bit are counted; the others have to be within governance.replay_tolerance. What differs in
    libraries, device and kernels is listed. Exit codes: 0 replayed · 1 differs · 2 bad input · 4 could not run.

    [bold]Example:[/] calig replay models:/reviews/2 --rows 32
    """
    from flows.common.process import prepare

    prepare(debug=debug, tracking_uri=tracking_uri, output=output, offline=True)

    def run() -> int:
        from components.common.configuration import load_config
        from flows.cli.outcome import show_replay
        from flows.common.progress import reporting
        from flows.evidence.replay import Wanted, replay_version

        wanted = Wanted(None if all_rows else rows, dataset, output)
        with reporting(quiet=json):
            report = replay_version(model, wanted, load_config(config))
        return show_replay(report, as_json=json)

    exit_with(run, debug=debug)


def card(
    model: _PublishedArgument,
    output: Annotated[Path | None, typer.Option(help="Write the card here. Default: standard output.")] = None,
    tracking_uri: TrackingOption = None,
    debug: DebugOption = False,
) -> None:
    """Write a model card in Hugging Face's format from the record: metadata with results, and text for people.

    [bold]Example:[/] calig card models:/reviews/2 --output README.md
    """
    from flows.common.process import prepare

    prepare(debug=debug, tracking_uri=tracking_uri, output=DEFAULT_OUTPUT, offline=True)

    def run() -> int:
        from components import signing
        from components.card import card_of, write_card
        from flows.evidence.standing import evidence_of

        evidence = evidence_of(model, signing.load_trust(None))
        digest = evidence.papers[0].record_sha256
        if output is None:
            typer.echo(card_of(evidence.record, digest), nl=False)
        else:
            write_card(evidence.record, output, digest)
        return 0

    exit_with(run, debug=debug)


@record_app.command()
def schema(debug: DebugOption = False) -> None:
    """Print the JSON Schema of record.json."""

    def run() -> int:
        from schemas.published import record_schema

        typer.echo(record_schema(), nl=False)
        return 0

    exit_with(run, debug=debug)

"""Commands on evidence that is there already, with nothing computed: `calig gate`, `calig history`, `calig alerts resend`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.entry import exit_with
from flows.cli.options import DEFAULT_OUTPUT, DebugOption, Group, TrackingOption

alerts_app = typer.Typer(no_args_is_help=True, help="Messages about verdicts: see what waits, send it again.")


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    app.command(rich_help_panel=Group.EXPLAIN)(gate)
    app.command(rich_help_panel=Group.EXPLAIN)(history)
    app.add_typer(alerts_app, name="alerts", rich_help_panel=Group.UNATTENDED)


def gate(  # noqa: PLR0913, PLR0917 - each option of the command is one
    model: Annotated[str, typer.Argument(metavar="MODEL", help="models:/NAME/VERSION, models:/NAME@alias, or a results folder.")],
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML here: each check a test case.")] = None,
    max_age: Annotated[
        float | None, typer.Option(metavar="DAYS", min=0.0, help="An explanation older than this is inconclusive.")
    ] = None,
    require_reference: Annotated[
        bool, typer.Option("--require-reference", help="A version that was compared with no other is inconclusive.")
    ] = False,
    require_approval: Annotated[
        bool, typer.Option("--require-approval", help="A version that no reviewer has approved is inconclusive.")
    ] = False,
    promote: Annotated[
        bool,
        typer.Option(
            "--promote",
            help="On pass, and only then, move @champion to this version. It only moves forward, and only "
            "over the version that this one was compared with.",
        ),
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="With --promote: also go back to an older version, whatever it was compared with.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            help="YAML file with settings: its section `gate` is the policy, and the settings of the explanation have to be as "
            "strict as in it. Default: all defaults."
        ),
    ] = None,
    trusted_keys: Annotated[
        Path | None,
        typer.Option(
            help="List of trusted keys. Default: setting governance.trusted_keys, CALIG_TRUSTED_KEYS, or the user's own. Where "
            "there is one, only evidence signed by one of them passes."
        ),
    ] = None,
    tracking_uri: TrackingOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")] = False,
    debug: DebugOption = False,
) -> None:
    """Ask in CI/CD whether a version may go on, by the verdict that `calig explain` published for it. Computes nothing.

    The newest explanation counts, whatever tags say. It must be about this very entry of the registry, made by settings as
    strict as the gate's own, and compared with what @champion is now; seal and sign-offs have to hold. A version that was never
    explained is bad input (2), not a pass; one that a reviewer rejected fails. Waivers count only with the setting
    gate.accept_waivers, until they expire.

    [bold]Example:[/] calig gate models:/reviews/2 --max-age 30 --junit gate.xml
    """
    from flows.common.process import prepare

    prepare(debug=debug, tracking_uri=tracking_uri, output=DEFAULT_OUTPUT, offline=True)

    def run() -> int:
        from components.common.configuration import load_config
        from flows.cli.gate import Wanted, run_gate

        settings = load_config(config)
        policy, governance = settings.gate, settings.governance
        asked = {
            "max_age_days": policy.max_age_days if max_age is None else max_age,
            "require_reference": policy.require_reference or require_reference,
            "require_approval": policy.require_approval or require_approval,
            "promote": policy.promote or promote,
        }
        trusted = {"trusted_keys": trusted_keys or governance.trusted_keys}
        sections = {"gate": policy.model_copy(update=asked), "governance": governance.model_copy(update=trusted)}
        return run_gate(model, settings.model_copy(update=sections), Wanted(rollback, junit, json))

    exit_with(run, debug=debug)


def history(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a registered model.")],
    html: Annotated[
        Path | None,
        typer.Option(help="Also write a page with charts of quality and drift over the versions, complete in itself."),
    ] = None,
    tracking_uri: TrackingOption = None,
    debug: DebugOption = False,
) -> None:
    """Show all versions of a model: verdict, accuracy, quality, drift against the version before, and the words that fired.

    Versions without an explanation are listed as such. Lines in the charts are broken where the data set or the method
    changed, since numbers before and after do not compare.

    [bold]Example:[/] calig history reviews --html reviews.html
    """
    from flows.common.process import prepare

    prepare(debug=debug, tracking_uri=tracking_uri, output=DEFAULT_OUTPUT, offline=True)

    def run() -> int:
        from flows.cli.history import show_history

        return show_history(name, html)

    exit_with(run, debug=debug)


@alerts_app.command()
def resend(
    output: Annotated[Path, typer.Option(help="Where the runs' results and caches are.")] = DEFAULT_OUTPUT,
    tracking_uri: TrackingOption = None,
    debug: DebugOption = False,
) -> None:
    """Send the messages that a receiver has not taken yet; each run does so too. Exit code 4 when some still wait.

    [bold]Example:[/] calig alerts resend --output calig-runs
    """
    from flows.common.process import prepare

    prepare(debug=debug, tracking_uri=tracking_uri, output=output, offline=True)

    def run() -> int:
        from flows.alerts import delivery
        from flows.cli.output import say

        return 4 if delivery.resend(output.absolute(), say) else 0

    exit_with(run, debug=debug)

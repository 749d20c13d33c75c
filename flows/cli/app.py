"""The application `calig`: its groups of commands. Each command imports its libraries itself, so that help answers fast."""

from __future__ import annotations

import typer

from flows.cli import evidence, explain, settings, unattended

app = typer.Typer(
    name="calig",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Explain a transformer classifier, check the explanations, compare them with the version before, and leave a verdict.",
    epilog="Exit codes: [bold]0[/] pass · [bold]1[/] fail · [bold]3[/] inconclusive · [bold]2[/] bad usage or input · "
    "[bold]4[/] could not run · [bold]130[/], [bold]143[/] stopped.",
)

# Groups stand in the help in this order.
for group in (explain, evidence, unattended, settings):
    group.register(app)

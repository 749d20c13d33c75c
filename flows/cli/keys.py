"""Commands about keys: `calig keys create`, `show`, `trust`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.entry import exit_with
from flows.cli.options import DebugOption, Group

keys_app = typer.Typer(no_args_is_help=True, help="Keys that sign records and sign-offs, and whose signatures count.")

_TrustedOption = Annotated[
    Path | None,
    typer.Option(help="The list of trusted keys. Default: CALIG_TRUSTED_KEYS, else ~/.config/calig/trusted_keys.yaml."),
]


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    app.add_typer(keys_app, name="keys", rich_help_panel=Group.SETTINGS)


@keys_app.command()
def create(
    file: Annotated[Path, typer.Argument(help="The private key goes here, with mode 0600; its public half into FILE.pub.")],
    debug: DebugOption = False,
) -> None:
    """Make an Ed25519 key. Encrypted when CALIG_SIGNING_KEY_PASSPHRASE, or the file CALIG_SIGNING_KEY_PASSPHRASE_FILE, says how.

    [bold]Example:[/] calig keys create release.pem
    """

    def run() -> int:
        from components import signing
        from flows.cli.output import say

        passphrase = signing.passphrase_of_environment()
        key_id = signing.create_key(file, passphrase)
        say(f"key {key_id}\nprivate {file}{'' if passphrase else ' (not encrypted)'}\npublic  {file}.pub")
        say(f"next: calig keys trust {file}.pub --name NAME, wherever its signatures are to count")
        return 0

    exit_with(run, debug=debug)


@keys_app.command()
def show(
    file: Annotated[Path | None, typer.Argument(help="A public key. Default: list the keys that are trusted.")] = None,
    trusted: _TrustedOption = None,
    debug: DebugOption = False,
) -> None:
    """Print the id of a public key, or the keys that are trusted and for what."""

    def run() -> int:
        from components import signing
        from flows.cli.output import say

        if file is not None:
            say(signing.key_id(signing.load_public(file)))
            return 0
        keys = signing.load_trust(trusted).keys
        for key in keys:
            say(f"{key.key_id}  {key.name}  ({', '.join(key.purposes)})")
        if not keys:
            say(f"no key is trusted; the list is {signing.trust_path(trusted)}")
        return 0

    exit_with(run, debug=debug)


@keys_app.command()
def trust(
    file: Annotated[Path, typer.Argument(help="The public key: a file that ends in .pub.")],
    name: Annotated[str, typer.Option(help="Whose it is. A sign-off's reviewer has to have this very name.")],
    only_for: Annotated[
        str, typer.Option("--for", metavar="[records|sign-offs|both]", help="What its signatures count for.")
    ] = "both",
    trusted: _TrustedOption = None,
    debug: DebugOption = False,
) -> None:
    """Put a public key on the list of those whose signatures count.

    [bold]Example:[/] calig keys trust alice.pub --name Alice --for sign-offs
    """

    def run() -> int:
        from components import signing
        from components.common.errors import InputError
        from flows.cli.output import say

        if only_for not in {"records", "sign-offs", "both"}:
            raise InputError("Unknown purpose of a key.", got=only_for, allowed="records, sign-offs, both")
        purposes = ("records", "sign-offs") if only_for == "both" else (only_for,)
        key = signing.add_trust(signing.trust_path(trusted), file, name, purposes)  # type: ignore[arg-type]  # checked above
        say(f"trusted: {key.key_id}  {key.name}  ({', '.join(key.purposes)})")
        return 0

    exit_with(run, debug=debug)

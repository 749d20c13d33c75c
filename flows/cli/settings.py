"""Commands about caches, settings and keys: `calig clean`, `config show`, `keys create`, `show`, `trust`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.command import CommandGroup, ConfigOption, command
from flows.common.process import DEFAULT_OUTPUT

if TYPE_CHECKING:
    from components.common.caches import Cleaned

config_app = typer.Typer(no_args_is_help=True, help="Look at the settings.")
keys_app = typer.Typer(no_args_is_help=True, help="Keys that sign records and sign-offs, and whose signatures count.")
_TrustedOption = Annotated[
    Path | None,
    typer.Option(help="The list of trusted keys. Default: CALIG_TRUSTED_KEYS, else ~/.config/calig/trusted_keys.yaml."),
]
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0}
_DEFAULT_DAYS = 30.0
_LISTED = 20


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    app.command(rich_help_panel=CommandGroup.SETTINGS)(clean)
    app.add_typer(config_app, name="config", rich_help_panel=CommandGroup.SETTINGS)
    app.add_typer(keys_app, name="keys", rich_help_panel=CommandGroup.SETTINGS)


@command(uses_registry=False)
def clean(
    output: Annotated[Path, typer.Option(help="Where the runs' results and caches are.")] = DEFAULT_OUTPUT,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Remove what was last used longer ago: 12h, 30d, 8w. Default, without a size: 30d."),
    ] = None,
    larger_than: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Then remove the least recently used until the rest fits: 500MB, 20GB.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> int:
    """Shrink the caches below an output folder: models, shards, exports, Prefect's results. All can be made again.

    Results of explanations and alerts that wait are left alone. While an explanation runs in the folder nothing is removed.

    [bold]Example:[/] calig clean --older-than 30d --larger-than 20GB --dry-run
    """
    from components.common.caches import clean as clean_caches

    days = _DEFAULT_DAYS if older_than is None and larger_than is None else _days(older_than)
    _tell(clean_caches(output, older_than_days=days, larger_than_bytes=_bytes(larger_than), dry_run=dry_run), output, dry_run)
    return 0


@config_app.command("show")
@command(uses_registry=False)
def config_show(config: ConfigOption = None) -> int:
    """Print every setting with its value and its meaning, as a YAML file to start from."""
    from components.common.configuration import load_config, render

    typer.echo(render(load_config(config)), nl=False)
    return 0


@keys_app.command()
@command(uses_registry=False)
def create(
    file: Annotated[Path, typer.Argument(help="The private key goes here, with mode 0600; its public half into FILE.pub.")],
) -> int:
    """Make an Ed25519 key. Encrypted when CALIG_SIGNING_KEY_PASSPHRASE, or the file CALIG_SIGNING_KEY_PASSPHRASE_FILE, says how.

    [bold]Example:[/] calig keys create release.pem
    """
    from components import signing
    from flows.cli.output import say

    passphrase = signing.passphrase_of_environment()
    key_id = signing.create_key(file, passphrase)
    say(f"key {key_id}\nprivate {file}{'' if passphrase else ' (not encrypted)'}\npublic  {file}.pub")
    say(f"next: calig keys trust {file}.pub --name NAME, wherever its signatures are to count")
    return 0


@keys_app.command()
@command(uses_registry=False)
def show(
    file: Annotated[Path | None, typer.Argument(help="A public key. Default: list the keys that are trusted.")] = None,
    trusted: _TrustedOption = None,
) -> int:
    """Print the id of a public key, or the keys that are trusted and for what."""
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


@keys_app.command()
@command(uses_registry=False)
def trust(
    file: Annotated[Path, typer.Argument(help="The public key: a file that ends in .pub.")],
    name: Annotated[str, typer.Option(help="Whose it is. A sign-off's reviewer has to have this very name.")],
    only_for: Annotated[
        str, typer.Option("--for", metavar="[records|sign-offs|both]", help="What its signatures count for.")
    ] = "both",
    trusted: _TrustedOption = None,
) -> int:
    """Put a public key on the list of those whose signatures count.

    [bold]Example:[/] calig keys trust alice.pub --name Alice --for sign-offs
    """
    from components import signing
    from components.common.errors import InputError
    from flows.cli.output import say

    if only_for not in {"records", "sign-offs", "both"}:
        raise InputError("Unknown purpose of a key.", got=only_for, allowed="records, sign-offs, both")
    purposes = ("records", "sign-offs") if only_for == "both" else (only_for,)
    key = signing.add_trust(signing.trust_path(trusted), file, name, purposes)  # type: ignore[arg-type]  # checked above
    say(f"trusted: {key.key_id}  {key.name}  ({', '.join(key.purposes)})")
    return 0


def _tell(cleaned: Cleaned, output: Path, dry_run: bool) -> None:
    from flows.cli.output import say

    for entry in cleaned.removed[:_LISTED]:
        say(f"{entry.n_bytes / 1e6:10,.1f} MB  {entry.path.relative_to(output)}")
    if len(cleaned.removed) > _LISTED:
        say(f"… and {len(cleaned.removed) - _LISTED} more")
    freed, left = (sum(entry.n_bytes for entry in entries) / 1e6 for entries in cleaned)
    say(f"{'would free' if dry_run else 'freed'} {freed:,.1f} MB in {len(cleaned.removed)} entries; {left:,.1f} MB stay")


def _days(text: str | None) -> float | None:
    return None if text is None else _number(text, _DAYS, "--older-than", "12h, 30d, 8w")


def _bytes(text: str | None) -> int | None:
    return None if text is None else int(_number(text.upper(), _UNITS, "--larger-than", "500MB, 20GB"))


def _number(text: str, units: dict[str, float] | dict[str, int], option: str, allowed: str) -> float:
    from components.common.errors import InputError

    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if match is None or match[2] not in units:
        raise InputError(f"{option} is not understood.", got=text, allowed=allowed)
    return float(match[1]) * units[match[2]]

"""How a command ends: with its exit code, or with an error's message and code; a traceback only with --debug."""

from __future__ import annotations

from collections.abc import Callable

import typer


def exit_with(run: Callable[[], int], *, debug: bool) -> None:
    """Exit with what `run` returns; an error becomes its message and its exit code, a traceback only with --debug."""
    from components.errors import CaligError

    try:
        code = run()
    except CaligError as error:
        _complain(error, debug)
        code = error.exit_code
    except KeyboardInterrupt:
        typer.secho("interrupted; finished shards are kept, start the same command again to go on", fg="yellow", err=True)
        code = 130
    except Exception as error:  # the last seam: whatever else happens is "could not run", said in one line
        _complain(error, debug)
        typer.secho("next: run again with --debug for the whole story", err=True)
        code = 4
    _leave(code)


def _complain(error: Exception, debug: bool) -> None:
    from components.plain_text import printable
    from components.secrets import hidden

    if debug:
        import traceback

        typer.echo(printable(hidden("".join(traceback.format_exception(error)))), nl=False, err=True)
    kind = "" if type(error).__module__.startswith("components.") else f"{type(error).__name__}: "
    first, _, rest = printable(hidden(f"{kind}{error}")).partition("\n")
    typer.secho(f"error: {first}", fg="red", err=True)
    if rest:
        typer.secho(rest, err=True)


def _leave(code: int) -> None:
    raise typer.Exit(code)

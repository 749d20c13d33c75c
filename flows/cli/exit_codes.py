"""Exit codes: turns every way in which a command can end into one.

0, 1 and 3 are verdicts, and only a command that returns 1 ends with 1. Everything else that can happen is 2 (the user must mend
something), 4 (could not run), 130 (Ctrl-C) or 143 (SIGTERM). A traceback is shown only with --debug, secrets never.
"""

from __future__ import annotations

from collections.abc import Callable

from flows.common.process import exit_code_of, say_resume

INPUT, COULD_NOT_RUN = 2, 4
_MOST = 2000


def exit_with(run: Callable[[], int], *, debug: bool) -> None:
    """End a command with what `run` returns; an error becomes its message and its exit code."""
    import typer

    raise typer.Exit(ended(run, debug=debug))


def ended(run: Callable[[], int], *, debug: bool) -> int:
    """The exit code of `run`: what it returns, or what the exception that ended it stands for, which is then told."""
    try:
        return run()
    except KeyboardInterrupt as interruption:
        say_resume()
        return exit_code_of(interruption)
    except BaseException as error:  # errors of native code are no Exceptions, and nothing but a verdict may end with 1
        return _told(error, debug)


def _told(error: BaseException, debug: bool) -> int:
    from components.common.errors import CaligError, from_missing, from_system

    if isinstance(error, OSError):
        error = from_system(error)
    if isinstance(error, ModuleNotFoundError):
        error = from_missing(error)
    if isinstance(error, CaligError):
        _complain(error, debug)
        return error.exit_code
    if hasattr(error, "format_message"):  # click's own: unknown options, missing arguments
        from typer import rich_utils

        rich_utils.rich_format_error(error)  # type: ignore[arg-type]  # typer's copy of click has no public name
        return INPUT
    _complain(error, debug)
    if not debug:
        _say("next: run again with --debug for the whole story")
    return COULD_NOT_RUN


def _complain(error: BaseException, debug: bool) -> None:
    from components.common.errors import shortened
    from components.common.plain_text import printable
    from components.common.secrets import hidden

    if debug:
        import traceback

        _say(printable(hidden("".join(traceback.format_exception(error)))).rstrip("\n"))
    kind = "" if type(error).__module__.startswith("components.") else f"{type(error).__name__}: "
    first, _, rest = printable(shortened(hidden(f"{kind}{error}"), _MOST)).partition("\n")
    _say(f"error: {first}", "red")
    if rest:
        _say(rest)


def _say(text: str, colour: str | None = None) -> None:
    import typer

    typer.secho(text, fg=colour, err=True)

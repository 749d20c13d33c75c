"""Entry point of the command line: runs it in a guarded process, and ends that with the command's exit code."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from flows.cli.exit_codes import ended
from flows.common.process import STOPPED, end_process


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the `calig` command line and end the process with its exit code."""
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    given = sys.argv[1:] if arguments is None else arguments

    def run() -> int:
        from components.common.secrets import guard_tracebacks
        from flows.cli.output import tolerate_streams
        from flows.common.process import check_working_directory, stoppable

        tolerate_streams()
        guard_tracebacks()
        check_working_directory()
        with stoppable():
            from flows.cli.app import app

            return _code_of(app(args=given, standalone_mode=False))

    code = ended(run, debug="--debug" in given)
    if code in STOPPED:
        end_process(code)
    sys.exit(code)


def _code_of(returned: object) -> int:
    """What the command line returns: the code of a command, or nothing where there was only help to show."""
    return returned if isinstance(returned, int) else 0

"""Writes deploy/lock/: all that `make install` installs, with its hashes, resolved once by uv within constraints.txt.

run.txt is what running needs, tools.txt what the tests and checks need besides. torch is in neither, nor what it alone brings:
its build, and so its hash, differs by platform.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCKS = ROOT / "deploy" / "lock"
_WITH_TORCH = re.compile(r"(torch|triton|cuda-\w+|nvidia-[\w-]+)==")
_ENTRY = re.compile(r"^\S.*\n(?: .*\n)*", re.MULTILINE)
#: The oldest Python: the tools need a later 3.11 than calig itself.
_RUN, _TOOLS = ("pipeline", "3.11"), ("dev", "3.11.5")


def entries(text: str) -> dict[str, str]:
    """Requirements of a lock by their name, each with its hashes, without torch and what torch alone brings."""
    found = (entry for entry in _ENTRY.findall(text) if not entry.startswith("#") and not _WITH_TORCH.match(entry))
    return {entry.partition("==")[0]: entry for entry in found}


def main() -> None:
    """Resolve and write both files."""
    run, tools = (entries(_resolved(*wanted)) for wanted in (_RUN, _TOOLS))
    _write("run.txt", "What running needs", run)
    _write("tools.txt", "What tests and checks need besides", {name: tools[name] for name in tools if name not in run})


def _resolved(extra: str, python: str) -> str:
    options = ["--universal", "--generate-hashes", "--no-emit-index-url", "--no-annotate", "--no-header", "--quiet"]
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--extra", extra, "--python-version", python]
    done = subprocess.run(  # noqa: S603 - our own interpreter, no shell
        [*command, "-c", "constraints.txt", *options], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def _write(file: str, what: str, content: dict[str, str]) -> None:
    head = f"# {what}, without torch. Written by `make lock` from pyproject.toml and constraints.txt.\n"
    (LOCKS / file).write_text(head + "".join(content.values()), encoding="utf-8")


if __name__ == "__main__":
    main()

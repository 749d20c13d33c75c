"""Known vulnerabilities of the pinned dependencies, by pip-audit. 0 none, 1 some, 3 could not be judged, 4 could not run.

pip-audit itself says 0 for packages that its service does not know or that it could not ask about. Here only what was really
looked up passes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"
_NAMED = 5


def pinned(text: str) -> set[str]:
    """Names of the pinned packages, as package indexes normalise them."""
    lines = (line.partition("#")[0].partition(";")[0].strip() for line in text.splitlines())
    return {_normal(line.partition("==")[0]) for line in lines if "==" in line}


def judged(report: dict[str, Any], wanted: set[str]) -> tuple[int, list[str]]:
    """Exit code and what to say, from pip-audit's JSON `report` and the packages that it should be about."""
    entries = report.get("dependencies", [])
    found = [f"{e['name']} {e['version']}: {_advice(v)}" for e in entries for v in e.get("vulns", [])]
    unknown = sorted(wanted - {_normal(e["name"]) for e in entries if "skip_reason" not in e and "vulns" in e})
    lines = [f"vulnerable: {line}" for line in found]
    if unknown:
        more = "" if len(unknown) <= _NAMED else f" and {len(unknown) - _NAMED} more"
        lines.append(f"not judged: {len(unknown)} of {len(wanted)} packages: {', '.join(unknown[:_NAMED])}{more}")
        lines.append("next: run where the vulnerability service can be reached; this is no pass")
    if not lines:
        lines = [f"no known vulnerability in {len(wanted)} packages"]
    return (1 if found else 3 if unknown or not wanted else 0), lines


def main() -> int:
    """Ask pip-audit about the constraints, in the environment that this runs in."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(CONSTRAINTS), "--no-deps", "--disable-pip"]
    done = subprocess.run(  # noqa: S603 - our own interpreter, no shell
        [*command, "--format", "json", "--progress-spinner", "off", "--timeout", "15", *sys.argv[1:]],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        report = json.loads(done.stdout)
    except ValueError:
        sys.stderr.write(f"pip-audit gave no report, so nothing was judged: {done.stderr.strip()[-500:]}\n")
        return 4 if "No module named" in done.stderr else 3
    code, lines = judged(report, pinned(CONSTRAINTS.read_text(encoding="utf-8")))
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    return code


def _normal(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(".", "-").partition("[")[0]


def _advice(vulnerability: dict[str, Any]) -> str:
    fixed = ", ".join(vulnerability.get("fix_versions", [])) or "no version yet"
    return f"{vulnerability['id']}, mended in {fixed}"


if __name__ == "__main__":
    sys.exit(main())

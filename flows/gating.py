"""The gate on the command line: find the evidence, judge it, write it out, and promote only on pass."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.panel import Panel
from rich.table import Table

from components import gate, registry, signing
from components.errors import CouldNotRunError, InputError
from flows.marks import EXIT_CODES, mark
from flows.standing import evidence_of, require_known, standing_of
from flows.terminal import Terminal, safe
from schemas.base import CheckVerdict, Verdict
from schemas.config import GateConfig
from schemas.evidence import Evidence
from schemas.gate import GateCheck, GateResult
from schemas.release import ModelSource


def run_gate(
    model: str, config: GateConfig, *, trusted_keys: Path | None, rollback: bool, junit: Path | None, as_json: bool
) -> int:
    """The exit code: 0 pass, 1 fail, 3 inconclusive.

    Errors (bad input, a server that does not answer, a promotion that is refused) are raised. JUnit and JSON are written
    before a promotion is tried: they tell the verdict.
    """
    if junit is not None:
        _remove(junit)
    evidence, papers = evidence_of(model)
    _check_promotable(evidence, config)
    standing = standing_of(evidence, papers, signing.load_trust(trusted_keys))
    if config.require_signature:
        require_known(standing.seal)
    result = gate.judge(evidence, config, now=datetime.now(UTC), standing=standing)
    if junit is not None:
        gate.write_junit(result, junit)
    refused: InputError | None = None
    if config.promote:
        try:
            result = result.model_copy(update={"promoted": _promoted(evidence, result, rollback)})
        except InputError as error:
            refused = error
            result = result.model_copy(update={"promoted": f"refused: {error.problem}"})
    _show(result, as_json=as_json)
    if refused is not None:
        raise refused
    return EXIT_CODES[result.verdict]


def _remove(junit: Path) -> None:
    """A file from before must not speak for a gate that did not get to its end."""
    try:
        junit.unlink(missing_ok=True)
    except OSError as error:
        raise CouldNotRunError("the old JUnit file cannot be replaced", got=error, next_step="check --junit") from error


def _check_promotable(evidence: Evidence, config: GateConfig) -> None:
    if config.promote and (evidence.run_id is None or evidence.record.model.source is not ModelSource.REGISTRY):
        raise InputError(
            "A results folder is not promoted: its version may have changed since.",
            allowed="models:/NAME/VERSION with --promote",
            next_step="publish it (calig publish FOLDER), then name the version",
        )


def _promoted(evidence: Evidence, result: GateResult, rollback: bool) -> str:
    if result.verdict is not Verdict.PASS:
        return f"@champion was not moved: the verdict is {result.verdict.value}"
    return registry.promote(evidence.record, None, rollback=rollback)


def _show(result: GateResult, *, as_json: bool) -> None:
    if as_json:
        typer.echo(result.model_dump_json(indent=2))
        return
    console = Terminal()
    lines = [f"{mark(result.verdict)}  {safe(result.model)} version {safe(result.version)}"]
    lines += [f"• {safe(reason)}" for reason in result.reasons]
    lines.append(f"next: {safe(result.next_step)}")
    console.print(Panel("\n".join(lines), title="gate", title_align="left"))
    console.print(_table([check for check in result.checks if check.verdict is not CheckVerdict.PASS]))
    console.print(f"explained {result.age_days:.1f} days ago, fingerprint {result.fingerprint[:12]}", style="dim")
    if result.run_url:
        console.print(f"evidence {result.run_url}", highlight=False, soft_wrap=True)
    if result.promoted:
        console.print(result.promoted, highlight=False)


def _table(checks: list[GateCheck]) -> Table:
    title = "what did not pass, or does not apply" if checks else "every check passed"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0), show_header=bool(checks))
    for heading in ("part", "check", "verdict", "seen"):
        table.add_column(heading)
    for check in checks:
        minor = not check.blocks and check.verdict is not CheckVerdict.NOT_APPLICABLE
        table.add_row(check.group, safe(check.name), mark(check.verdict) + (" (warning)" if minor else ""), safe(check.text))
    return table

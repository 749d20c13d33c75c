"""`calig gate`: finds the evidence, judges it, writes the result, and promotes only on pass."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import typer
from rich.panel import Panel
from rich.table import Table

from components import gate, quality, registry, signing
from components.common.errors import CouldNotRunError, InputError
from flows.cli.output import EXIT_CODES, Terminal, mark, safe
from flows.evidence.standing import evidence_of, standing_of
from flows.evidence.verify import download_verified
from schemas.base import CheckVerdict, Verdict
from schemas.config import GateConfig, PipelineConfig
from schemas.evidence import Evidence, SealState
from schemas.gate import GateCheck, GateResult
from schemas.release import ModelSource
from schemas.signature import TrustList


class GateOptions(NamedTuple):
    """Options of the command that are no settings of the gate."""

    rollback: bool = False
    junit: Path | None = None
    summary: Path | None = None
    as_json: bool = False


def run_gate(model: str, settings: PipelineConfig, options: GateOptions) -> int:
    """The exit code: 0 pass, 1 fail, 3 inconclusive.

    Errors (bad input, a server that does not answer, a promotion that is refused) are raised. JUnit and JSON are written
    before a promotion is tried: they tell the verdict.
    """
    for option, file in (("--junit", options.junit), ("--summary", options.summary)):
        if file is not None:
            _remove(file, option)
    trusted = signing.load_trust(settings.governance.trusted_keys)
    evidence = evidence_of(model, trusted)
    _check_promotable(evidence, settings.gate)
    result = _judged(evidence, settings, trusted, options.rollback)
    if options.junit is not None:
        gate.write_junit(result, options.junit)
    refused: InputError | None = None
    if settings.gate.promote:
        try:
            result = result.model_copy(update={"promoted": _promoted(evidence, result, options.rollback)})
        except InputError as error:
            refused = error
            result = result.model_copy(update={"promoted": f"refused: {error.problem}"})
    if options.summary is not None:
        gate.write_summary(result, evidence.record, options.summary)
    _show(result, as_json=options.as_json)
    if refused is not None:
        raise refused
    return EXIT_CODES[result.verdict]


def _judged(evidence: Evidence, settings: PipelineConfig, trusted: TrustList, rollback: bool) -> GateResult:
    """The verdict; the version's files are downloaded only where they could still change it."""
    config, now, standing = settings.gate, datetime.now(UTC), standing_of(evidence, trusted)
    if rollback:  # to go back on purpose is to accept what the older version was compared with
        config = config.model_copy(update={"reference": "any"})
    around = _circumstances(evidence, settings, trusted)
    result = gate.judge(evidence, config, now=now, standing=standing, around=around)
    if result.verdict is Verdict.PASS and evidence.run_id is not None and (config.promote or config.check_weights):
        around = replace(around, other_content=other_content(evidence, trusted))
        result = gate.judge(evidence, config, now=now, standing=standing, around=around)
    return result


def _circumstances(evidence: Evidence, settings: PipelineConfig, trusted: TrustList) -> gate.Circumstances:
    record, compared = evidence.record, settings.gate.settings != "any"
    suite = quality.suite_for(settings.quality.suite, record.model.modality)
    return gate.Circumstances(
        settings=settings if compared else None,
        suite_digest=quality.suite_digest(suite, quality.listed_modules(settings.quality)) if compared else None,
        champion=None if evidence.run_id is None else registry.reference_for(record.model, "champion"),
        keys_are_trusted=trusted.found,
    )


def other_content(evidence: Evidence, trusted: TrustList) -> str:
    """How the version's files, downloaded anew, and those of its evidence differ from what was explained and sealed; or ""."""
    model = evidence.record.model
    with TemporaryDirectory(prefix="calig-gate-") as temporary:
        fresh = registry.fetch(registry.parse_model_ref(model.uri), workspace=Path(temporary))
        _, seal = download_verified(evidence, Path(temporary) / "evidence", trusted)
    named = {"weights": "weights_digest", "tokenizer or processor": "processor_digest", "registry entry": "registered"}
    changed = [name for name, field in named.items() if getattr(fresh, field) != getattr(model, field)]
    if not changed and model.files_digest not in {None, fresh.files_digest}:  # MLmodel decides what is served, and by which code
        changed = ["MLmodel, or another file that was logged with the model"]
    found = [f"not what was explained: {', '.join(changed)}"] if changed else []
    unsealed = seal.findings if seal.state in {SealState.TAMPERED, SealState.UNSEALED} else ()
    return "; ".join([*found, *unsealed])


def _remove(file: Path, option: str) -> None:
    """A file from before must not speak for a gate that did not get to its end."""
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise CouldNotRunError(f"the old file of {option} cannot be replaced", got=error, next_step=f"check {option}") from error


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
    return registry.promote(evidence.record, rollback=rollback)


def _show(result: GateResult, *, as_json: bool) -> None:
    if as_json:
        typer.echo(result.model_dump_json(indent=2))
        return
    console = Terminal()
    lines = [f"{mark(result.verdict)}  {safe(result.model)} version {safe(result.version)}"]
    lines += [f"• {safe(reason)}" for reason in result.reasons]
    lines.append(f"next: {safe(result.next_step)}")
    lines.append(safe(result.signature))
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

"""Faults by the hundred against real servers, and what they cost; then load. `make bench-faults`."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import typer
from rich.console import Console

from tests.benchmarks.faults.batches import run_batch
from tests.benchmarks.faults.load import measure_load
from tests.benchmarks.faults.plan import ALL_FAULTS, counts, remaining
from tests.benchmarks.faults.results import summarise, table
from tests.benchmarks.faults.rig import Rig, running_rig
from tests.benchmarks.machine import describe

RESULTS = Path(__file__).parent / "results" / "faults.json"
WORK = Path("build/faults")
#: Time to look for moments in which a fault hits something, per fault.
_PER_FAULT_S = 30.0

FaultsOption = Annotated[int, typer.Option("--faults", min=1, help="How many, over all kinds; at least one of each.")]
WorkOption = Annotated[Path, typer.Option(help="Where finished batches are kept; a later run goes on there.")]
MinutesOption = Annotated[float, typer.Option(min=0.0, help="Begin no batch after so many minutes; run again to go on.")]
LoadOption = Annotated[bool, typer.Option(help="Also measure 50 versions at once, and the listener at 500 requests a second.")]


def bench(
    *,
    faults: FaultsOption = ALL_FAULTS,
    work: WorkOption = WORK,
    minutes: MinutesOption = 90.0,
    load: LoadOption = True,
    output: Path = RESULTS,
) -> None:
    """Inject what is missing, judge after every batch, write JSON and print a table."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped; finished batches are kept"))  # so that the servers end too
    console, deadline = Console(width=130), monotonic() + 60 * minutes
    work.mkdir(parents=True, exist_ok=True)
    if any(remaining(faults, finished(work))) or (load and not (work / "load.json").exists()):
        with temporary_rig() as rig:
            inject(rig, work, faults, deadline, console)
            if load and not (work / "load.json").exists() and monotonic() < deadline:
                (work / "load.json").write_text(json.dumps(measure_load(rig, console.print)), encoding="utf-8")
    report = report_of(work, faults)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    console.print(table(report))


def inject(rig: Rig, work: Path, faults: int, deadline: float, console: Console) -> None:
    """Batch after batch, each kept as soon as it is judged."""
    for part in remaining(faults, finished(work)):
        if monotonic() > deadline:
            console.print("time is up; run again to go on")
            return
        batch = run_batch(rig, part.kind, part.n, _PER_FAULT_S * part.n).summary()
        with (work / "batches.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(batch, ensure_ascii=False) + "\n")
        harms = "; ".join(batch["findings"]) or "nothing lost, nothing twice"
        console.print(
            f"{part.kind}: {batch['injected']} in {batch['seconds']:.0f} s, {batch['versions']} versions: {harms}", soft_wrap=True
        )


def finished(work: Path) -> list[dict[str, Any]]:
    """Batches of this and earlier runs."""
    path = work / "batches.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def report_of(work: Path, faults: int) -> dict[str, Any]:
    """All that is known so far."""
    load = work / "load.json"
    return {
        "command": f"make bench-faults FAULTS={faults}",
        "planned": sum(counts(faults).values()),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": describe(),
        **summarise(finished(work)),
        "load": json.loads(load.read_text(encoding="utf-8")) if load.exists() else None,
    }


@contextmanager
def temporary_rig() -> Iterator[Rig]:
    """In a folder outside the checkout, which goes when all is over."""
    with tempfile.TemporaryDirectory(prefix="calig-faults-") as folder, running_rig(Path(folder)) as rig:
        try:
            yield rig
        except BaseException:
            print(rig.cluster.show_logs())
            raise


if __name__ == "__main__":
    typer.run(bench)

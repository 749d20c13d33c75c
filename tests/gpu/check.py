"""Whether everything that needs a GPU holds on this one: `make check-gpu`, at most eight minutes, results under $OUT.

Exit code 0: all parts passed. 1: one failed. 2: nothing failed, but not everything was checked, which is no pass.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from tests.benchmarks.machine import describe
from tests.gpu.parts import PARTS, Findings

FILE_NAME = "check-gpu.json"
PASSED, FAILED, INCONCLUSIVE = "pass", "fail", "inconclusive"
EXIT_CODES = {PASSED: 0, FAILED: 1, INCONCLUSIVE: 2}

#: No part begins after this, s: the last one, the longest, then ends within eight minutes.
_LAST_BEGIN_S = 300.0

NO_DEVICE = "no CUDA device: nothing was checked"


def main() -> int:
    """Run all parts on the GPU; without one say so, and pass nothing."""
    output = Path(os.environ.get("OUT") or "build/gpu") / FILE_NAME
    if not torch.cuda.is_available():
        _write(output, report_of({}, dict.fromkeys(PARTS, NO_DEVICE)))
        print(NO_DEVICE, file=sys.stderr)
        return EXIT_CODES[INCONCLUSIVE]
    verdict: str = check("cuda", PARTS, output)["verdict"]
    print(f"{verdict}: {output}")
    return EXIT_CODES[verdict]


def check(
    device: str, parts: Mapping[str, Callable[[str], Findings]], output: Path, *, clock: Callable[[], float] = monotonic
) -> dict[str, Any]:
    """Run the parts one after the other; the results are written after each, so that none is lost when time runs out."""
    started = clock()
    done: dict[str, Findings] = {}
    report = report_of(done, dict.fromkeys(parts, "not begun yet"))
    for name, part in parts.items():
        if clock() - started > _LAST_BEGIN_S:
            break
        begun = clock()
        done[name] = _guarded(part, device)
        done[name]["seconds"] = clock() - begun
        left = {other: "no time was left" for other in parts if other not in done}
        report = report_of(done, left)
        _write(output, report)
        print(f"{name}: {'passed' if done[name]['passed'] else 'FAILED'} in {done[name]['seconds']:.0f} s", flush=True)
    return report


def report_of(done: Mapping[str, Findings], unchecked: Mapping[str, str]) -> dict[str, Any]:
    """The results file's content; `unchecked`: parts that did not run, and why."""
    failed = any(not findings["passed"] for findings in done.values())
    verdict = FAILED if failed else INCONCLUSIVE if unchecked or not done else PASSED
    about = {"verdict": verdict, "date": datetime.now(UTC).date().isoformat(), "machine": describe()}
    return {**about, "parts": dict(done), "unchecked": dict(unchecked)}


def _guarded(part: Callable[[str], Findings], device: str) -> Findings:
    """What the part found; one that breaks has failed, and the others still run."""
    try:
        return part(device)
    except Exception:  # whatever it is, it is the finding
        return {"passed": False, "error": traceback.format_exc(limit=-3)}


def _write(output: Path, report: dict[str, Any]) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

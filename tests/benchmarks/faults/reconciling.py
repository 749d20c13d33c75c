"""`calig reconcile` every second in one warm process, whatever happens to the servers: the schedule, without its waiting."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from components.common.configuration import load_watch
from flows.reconcile import run_pass
from flows.trigger.prefect_runs import PrefectRuns

_PAUSE_S = 1.0


def main(path: Path) -> None:
    """Pass after pass; one that fails is said and followed by the next."""
    watch = load_watch(path)
    runs = PrefectRuns(watch.deployment)
    while True:
        try:
            steps = run_pass(watch, runs).steps
            print(
                "pass:",
                ", ".join(
                    f"{s.version} {s.action}{f' ({s.detail[:160]})' if s.detail else ''}" for s in steps if s.action != "done"
                ),
            )
        except Exception as error:
            print(f"pass failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

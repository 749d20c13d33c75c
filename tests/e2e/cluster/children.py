"""The processes in which a cluster's flow runs live, found by their environment, also when their worker is gone."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil

_RUN_ID = "PREFECT__FLOW_RUN_ID"


def flow_processes(home: str, warm_socket: Path) -> dict[str, list[psutil.Process]]:
    """By flow run id, the processes with the Prefect home `home`; the one that does the work last."""
    found: dict[str, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            environment = process.environ()
            if environment.get("PREFECT_HOME") == home and _RUN_ID in environment:
                found.setdefault(environment[_RUN_ID], []).append(process)
    for mark in warm_socket.parent.glob(f"{warm_socket.name}.*"):
        with suppress(psutil.Error, OSError, ValueError):
            found.setdefault(mark.name.removeprefix(f"{warm_socket.name}."), []).append(psutil.Process(int(mark.read_text())))
    return found


def kill_flow_processes(home: str, warm_socket: Path) -> int:
    """kill −9 of all of them; their number."""
    processes = [process for run in flow_processes(home, warm_socket).values() for process in run]
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)
    return len(processes)

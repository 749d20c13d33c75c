"""Memory that this process holds, and the most that it has held."""

from __future__ import annotations

import os
import resource
import sys
from collections import defaultdict
from pathlib import Path

_PROC = Path("/proc")


def peak_resident_bytes() -> int:
    """Largest resident memory of this process so far.

    Linux has it in /proc: what `getrusage` says there begins at what the process held that started this one.
    """
    return _high_water_mark() or _reported_peak()


def resident_bytes() -> int:
    """Resident memory of this process and of all that it has started; where there is no /proc, this process's peak.

    Pages that processes share are counted once for each.
    """
    if not (_PROC / "self" / "statm").is_file():
        return peak_resident_bytes()
    children: dict[int, list[int]] = defaultdict(list)
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            children[parent].append(int(entry.name))
    family, waiting = 0, [os.getpid()]
    while waiting:
        process = waiting.pop()
        family += _resident(_PROC / str(process))
        waiting += children[process]
    return family


def own_resident_bytes() -> int:
    """Resident memory of this process alone; where there is no /proc, its peak."""
    return _resident(_PROC / "self") or peak_resident_bytes()


def _high_water_mark() -> int:
    """0 where there is no /proc."""
    try:
        lines = (_PROC / "self" / "status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def _reported_peak() -> int:
    """macOS counts in bytes, others in KiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _parent(process: Path) -> int | None:
    try:
        return int((process / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):  # it has ended meanwhile
        return None


def _resident(process: Path) -> int:
    try:
        return int((process / "statm").read_text(encoding="utf-8").split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0

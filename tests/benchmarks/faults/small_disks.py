"""A disk small enough to fill and alone enough to make read-only: a tmpfs, where the tests may mount one."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass
class SmallDisk:
    """A mounted file system of its own."""

    path: Path

    def fill(self) -> None:
        """Leave no room at all."""
        with (self.path / "filler").open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                with suppress(OSError):
                    while True:
                        file.write(b"\0" * size)

    def free(self) -> None:
        """Give the room back."""
        (self.path / "filler").unlink(missing_ok=True)

    def refuse_writes(self) -> bool:
        """Make it read-only; False when files that are being written kept it from that."""
        for _ in range(40):
            if self._remount("ro"):
                return True
            time.sleep(0.05)
        return False

    def accept_writes(self) -> None:
        """Make it writable again."""
        self._remount("rw")

    def _remount(self, mode: str) -> bool:
        result = subprocess.run(["mount", "-o", f"remount,{mode}", self.path], capture_output=True, check=False, timeout=20)
        return result.returncode == 0


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[SmallDisk | None]:
    """A tmpfs at `path`; None, with a plain folder there, where mounting is not allowed."""
    path.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", path]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0
    try:
        yield SmallDisk(path) if mounted else None
    finally:
        if mounted:
            _unmount(path)


def _unmount(path: Path) -> None:
    for _ in range(20):
        if subprocess.run(["umount", path], capture_output=True, check=False, timeout=20).returncode == 0:
            return
        time.sleep(0.5)
    raise OSError(errno.EBUSY, "still in use", str(path))

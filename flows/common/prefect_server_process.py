"""Process of the local Prefect server: serves on an inherited socket and ends when the command that started it is gone."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import uvicorn
from filelock import BaseFileLock, FileLock

_LOOK_EVERY_S = 0.5


class _Server(uvicorn.Server):
    """Holds a lock while it starts: two commands may start in one folder, and only one at a time may change the database."""

    def __init__(self, config: uvicorn.Config, lock: BaseFileLock) -> None:
        super().__init__(config)
        self._lock = lock

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Run the application's own startup, which brings the database up to date."""
        await super().startup(sockets)
        self._lock.release()


def main(descriptor: int, parent: int) -> None:
    """Serve until told to stop."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    config = uvicorn.Config(_application(), lifespan="on", log_level="error")
    lock = FileLock(Path(os.environ["PREFECT_HOME"], "startup.lock"))
    lock.acquire()
    _Server(config, lock).run(sockets=[socket.socket(fileno=descriptor)])


def _application() -> Any:
    from prefect.server.api.server import create_app

    return create_app()


def _end_with(parent: int) -> None:
    """A process whose parent was killed gets another one."""
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

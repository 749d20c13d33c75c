"""A flow whose process hangs as one does that waits in C code: it beats, takes no step, and no signal but SIGKILL ends it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from prefect import flow


@flow(name="hang")
def hang(model: str) -> None:
    """Write the process's id into the file `model`, and never end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    Path(model).write_text(str(os.getpid()), encoding="utf-8")
    while True:
        time.sleep(3600)

"""Looks at versions in a process of its own, so that MLflow's and Prefect's clients keep no delivery waiting."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from pathlib import Path
from typing import Any

from schemas.trigger import Action, Step

_NICENESS = 5


class LookupProcess:
    """`look_at` behind a process boundary; a process that died is replaced, and its version left to the reconciler."""

    def __init__(self, path: Path, *, debug: bool) -> None:
        self._path, self._debug = path, debug
        self._pool = self._new_pool()

    def start(self) -> None:
        """Begin to load the libraries, and do not wait for it."""
        self._pool.submit(_load)

    def __call__(self, name: str, version: str) -> Step:
        """Look at one version as it is now; trouble of any kind is a step too."""
        try:
            return self._pool.submit(_look, self._path, name, version).result()
        except BrokenProcessPool as error:
            self._pool = self._new_pool()
            return _trouble(name, version, error)

    def stop(self) -> None:
        """End the process when it has done what it was given."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _new_pool(self) -> ProcessPoolExecutor:
        spawned = multiprocessing.get_context("spawn")  # a fork would inherit the listener's sockets and locks
        return ProcessPoolExecutor(1, mp_context=spawned, initializer=_begin, initargs=(self._debug,))


def _begin(debug: bool) -> None:
    """Leave signals to the listener, whose child this is, do not outlive it, and let it go first."""
    from flows.cli.options import DEFAULT_OUTPUT
    from flows.common.process import prepare

    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    os.nice(_NICENESS)
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    prepare(debug=debug, tracking_uri=None, output=DEFAULT_OUTPUT, offline=True)


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _load() -> None:
    """Import what the first version would otherwise wait for."""
    from components import registry
    from flows import reconcile  # noqa: F401 - for the import alone

    registry.load_mlflow()


def _look(path: Path, name: str, version: str) -> Step:
    from flows.reconcile import look_at
    from flows.trigger.prefect_runs import PrefectRuns

    try:
        watch = _watch(path, path.stat().st_mtime_ns)
        return look_at(name, version, watch, PrefectRuns(watch.deployment))
    except Exception as error:  # said, counted, and left to the reconciler
        return _trouble(name, version, error)


@lru_cache(maxsize=1)
def _watch(path: Path, _changed_ns: int) -> Any:
    """The watch file as it is now: it may change while the listener runs."""
    from components.common.configuration import load_watch

    return load_watch(path)


def _trouble(name: str, version: str, error: Exception) -> Step:
    detail = " ".join(str(error).split()) or type(error).__name__
    return Step(model=name, version=version, action=Action.ERROR, detail=detail)

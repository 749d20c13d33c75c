"""Whether the listener can hand over: Prefect and registry answer, the watch file is good, the queue has room."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

_KEPT_S = 5.0
_TIMEOUT_S = 5.0

Check = Callable[[], Awaitable[None]]


class Readiness:
    """Runs checks that raise when something is wrong; an answer is kept a few seconds, so that probes cost nothing."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks, self._lock = checks, asyncio.Lock()
        self._at_s, self._found = float("-inf"), dict[str, str]()

    async def look(self) -> dict[str, str]:
        """Per check `ok`, or the kind of its trouble."""
        async with self._lock:
            if time.monotonic() - self._at_s > _KEPT_S:
                answers = await asyncio.gather(*(_answer(check) for check in self._checks.values()))
                self._found = dict(zip(self._checks, answers, strict=True))
                self._at_s = time.monotonic()
            return self._found


async def _answer(check: Check) -> str:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await check()
    except Exception as error:  # a probe tells what is wrong, never where: addresses may hold passwords
        return type(error).__name__
    return "ok"

"""Limits on requests: rate, body size and time, and the refusals that answer them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    """Answer `status` with `reason`; `code` names the reason in the metrics."""

    def __init__(self, status: int, code: str, reason: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status, self.code, self.reason, self.headers = status, code, reason, headers or {}


class TokenBucket:
    """`rate_per_s` requests a second on average, `burst` at once. For one event loop: it does not lock."""

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self._rate_per_s, self._burst = rate_per_s, float(burst)
        self._tokens, self._at_s = float(burst), time.monotonic()

    def take(self) -> None:
        """Take one token.

        Raises:
            Refusal: 429 with Retry-After, when there is none.
        """
        now_s = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._rate_per_s)
        self._at_s = now_s
        if self._tokens < 1.0:
            wait_s = max(1, math.ceil((1.0 - self._tokens) / self._rate_per_s))
            raise Refusal(429, "rate", "too many requests", {"Retry-After": str(wait_s)})
        self._tokens -= 1.0


async def read_body(chunks: AsyncIterator[bytes], announced: str | None, limit_bytes: int, timeout_s: float) -> bytes:
    """The whole body of at most `limit_bytes`.

    Raises:
        Refusal: 413 as soon as it is known to be longer, 408 when it takes too long.
    """
    if announced is not None and announced.isdecimal() and int(announced[:20]) > limit_bytes:
        raise _too_long(limit_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            body = bytearray()
            async for chunk in chunks:
                body += chunk
                if len(body) > limit_bytes:
                    raise _too_long(limit_bytes)
            return bytes(body)
    except TimeoutError as error:
        raise Refusal(408, "slow", "the body took too long", {"Connection": "close"}) from error


def _too_long(limit_bytes: int) -> Refusal:
    return Refusal(413, "too_long", f"the body is longer than {limit_bytes} bytes", {"Connection": "close"})

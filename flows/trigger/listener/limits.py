"""Limits on requests and connections: rate, body size and time, and the refusals that answer them.

uvicorn has no time limit for the head of a request and answers 503 to everything, `/healthz` too, when its limit of connections
is reached: a few hundred half-open requests would silence it. So the slowest connections make room for new ones.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


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


def protocol_of(most: int, arrival_s: float) -> type[asyncio.Protocol]:
    """An HTTP protocol for uvicorn with `most` connections, on which a request has `arrival_s` seconds to arrive whole.

    At the limit, a new connection takes the place of the one that has been waiting longest for the rest, or for the beginning,
    of a request. Connections whose request is being answered stay.
    """

    class GuardedProtocol(H11Protocol):
        waiting: dict[GuardedProtocol, None] = {}  # noqa: RUF012 - in order of waiting, shared by all connections
        deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            if len(self.connections) >= most and self.waiting:
                next(iter(self.waiting)).drop()
            super().connection_made(transport)
            self.expect()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.settle()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self.settle()

        def connection_lost(self, exc: Exception | None) -> None:
            self.rest()
            super().connection_lost(exc)

        def settle(self) -> None:
            """Expect more unless a whole request is here and being answered."""
            if self.cycle is not None and not self.cycle.response_complete and self.conn.their_state is not h11.SEND_BODY:
                self.rest()
            else:
                self.expect()

        def expect(self) -> None:
            """Begin to wait; who waits already does not begin anew with every byte."""
            if self.deadline is None and not self.transport.is_closing():
                self.waiting[self] = None
                self.deadline = self.loop.call_later(arrival_s, self.drop)

        def rest(self) -> None:
            self.waiting.pop(self, None)
            if self.deadline is not None:
                self.deadline.cancel()
                self.deadline = None

        def drop(self) -> None:
            self.rest()
            self.connections.discard(self)
            self.transport.abort()

    return GuardedProtocol

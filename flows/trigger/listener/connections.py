"""Limits on connections: a request has to arrive in time, and the slowest connections make room for new ones.

uvicorn has no time limit for the head of a request and answers 503 to everything, `/healthz` too, when its limit of connections
is reached: a few hundred half-open requests would silence it.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


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

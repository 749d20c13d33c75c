"""A process of its own that delivers at a steady rate, however slow the answers are, and says how long each took.

`python -m tests.benchmarks.faults.hammering URL MODEL VERSION RATE SECONDS`; the secret comes by CALIG_WEBHOOK_SECRET.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter

import aiohttp

from tests.benchmarks.faults.signing import created, signed
from tests.benchmarks.faults.versions import Version

_CONNECTIONS = 64


async def hammer(url: str, version: Version, rate: float, seconds: float) -> dict[str, object]:
    """Requests on a fixed timetable; a request's time counts from when it was due, so that a stall is seen in all behind it."""
    secret, n = os.environ["CALIG_WEBHOOK_SECRET"], int(rate * seconds)
    requests = [signed(secret, created(version)) for _ in range(n)]
    latencies: list[float] = []
    answers: Counter[int] = Counter()

    async def send(session: aiohttp.ClientSession, i: int, due: float) -> None:
        async with session.post(url, data=requests[i].data, headers=dict(requests[i].header_items())) as answer:
            await answer.read()
        latencies.append(time.perf_counter() - due)
        answers[answer.status] += 1

    connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session:
        await asyncio.gather(*(send(session, 0, time.perf_counter()) for _ in range(8)))  # connections and code are warm
        latencies.clear()
        answers.clear()
        start, tasks = time.perf_counter() + 0.1, []
        for i in range(1, n):
            due = start + i / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(send(session, i, due)))
        await asyncio.gather(*tasks)
        took = time.perf_counter() - start
    return _summary(latencies, answers, took)


def _summary(latencies: list[float], answers: Counter[int], took_s: float) -> dict[str, object]:
    ordered = sorted(latencies)
    quantiles = {
        f"p{share * 100:g}_ms": ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 for share in (0.5, 0.99, 0.999)
    }
    figures = {"requests": len(ordered), "rate_per_s": len(ordered) / took_s, **quantiles, "max_ms": ordered[-1] * 1000}
    return {name: round(value, 2) for name, value in figures.items()} | {"answers": {str(k): v for k, v in answers.items()}}


if __name__ == "__main__":
    url, model, number, rate, seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(hammer(url, Version(model, number, 0), float(rate), float(seconds)))))

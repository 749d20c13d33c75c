"""Load instead of faults: many versions at once, each explained exactly once; and the listener under a steady stream."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.benchmarks.faults.evidence import attempts, judge
from tests.benchmarks.faults.results import HARMS
from tests.benchmarks.faults.rig import MODEL, Rig
from tests.e2e.cluster.servers import address_of

N_VERSIONS, VERSIONS_LIMIT_S = 50, 1500.0
RATE_PER_S, RATE_SECONDS = 500, 10


def measure_load(rig: Rig, say: Callable[[str], None], n: int = N_VERSIONS) -> dict[str, Any]:
    """Both measurements, as they go into the results."""
    listener = hammer_listener(rig)
    say(f"listener: {listener}")
    versions = register_at_once(rig, n)
    say(f"versions at once: {versions}")
    return {"listener": listener, "versions_at_once": versions}


def register_at_once(rig: Rig, n: int) -> dict[str, Any]:
    """`n` versions registered by eight clients at the same time; MLflow's webhooks and the reconciler compete for them."""
    webhook = webhook_to_listener(rig)
    started = time.monotonic()
    try:
        with ThreadPoolExecutor(8) as pool:
            versions = list(pool.map(lambda _: rig.registering.version(n_rows=8), range(n)))
        registered = time.monotonic()
        rig.settle(versions, VERSIONS_LIMIT_S)
    finally:
        rig.client.delete_webhook(webhook.webhook_id)
    runs = [attempts(rig.client, version) for version in versions]
    judged = [judge(rig.client, version) for version in versions]
    figures = {name: sum(len(getattr(one, name)) for one in judged) for name in HARMS[:3]}
    return {
        "versions": n,
        "explained_exactly_once": sum(r == 1 and not any(one) for r, one in zip(runs, judged, strict=True)),
        "flow_runs": sum(runs),
        **figures,
        "registering_s": round(registered - started, 1),
        "all_settled_s": round(time.monotonic() - started, 1),
    }


def webhook_to_listener(rig: Rig) -> Any:
    """MLflow's own webhook, as an operator registers it."""
    assert rig.cluster.listener is not None
    url = f"{address_of(rig.cluster.listener)}/webhooks/mlflow"
    return rig.client.create_webhook("calig", url, ["model_version.created"], secret=rig.cluster.secret)


def hammer_listener(rig: Rig, rate: int = RATE_PER_S, seconds: int = RATE_SECONDS) -> dict[str, Any]:
    """Signed, distinct deliveries about a version that is explained already; the time to the answer, from when each was due."""
    version = rig.registering.version(n_rows=8)
    rig.settle([version], 240.0)
    assert rig.cluster.listener is not None
    url = f"{address_of(rig.cluster.listener)}/webhooks/mlflow"
    module = "tests.benchmarks.faults.hammering"
    result = rig.cluster.run(module, url, MODEL, version.number, str(rate), str(seconds), limit_s=120)
    runs = attempts(rig.client, version)
    return {"asked_rate_per_s": rate, "seconds": seconds, **json.loads(result.stdout), "flow_runs_of_the_version": runs}

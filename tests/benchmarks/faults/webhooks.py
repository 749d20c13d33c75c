"""Deliveries that a receiver on a network gets sooner or later: twice, out of order, forged, replayed, late, huge."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tests.benchmarks.faults.rig import Rig
from tests.benchmarks.faults.signing import created, signed, tag_set
from tests.benchmarks.faults.versions import Version
from tests.e2e.cluster.servers import address_of

_PER_VERSION = 4
_HUGE = 10 << 20
_OFFSETS = ("+10m", "-10m", "+1d", "-1d", "+1y", "-1y")


def deliver_badly(rig: Rig, kind: str, n: int) -> tuple[list[Version], int]:
    """Versions that the listener hears of in the wrong way; how many wrong deliveries were made. A wrong answer raises."""
    versions: list[Version] = []
    for i in range(n):
        if i % _PER_VERSION == 0:
            versions.append(rig.registering.version())
        WEBHOOK[kind](rig, versions[-1])
    return versions, n


def post(rig: Rig, request: Request) -> str:
    """Send it to the listener: what it answers (accepted, duplicate, ignored), the status of a refusal, or `cut`."""
    assert rig.cluster.listener is not None
    request.full_url = f"{address_of(rig.cluster.listener)}/webhooks/mlflow"
    try:
        with urlopen(request, timeout=20) as answer:  # noqa: S310
            return str(json.load(answer)["status"])
    except HTTPError as error:
        error.close()
        return str(error.code)
    except (URLError, ConnectionError):
        return "cut"


def _twice(rig: Rig, version: Version) -> None:
    """The sender had no answer in time and delivers again: the same delivery, then the same news in a new one."""
    request = signed(rig.cluster.secret, created(version))
    got = [post(rig, one) for one in (request, request, signed(rig.cluster.secret, created(version)))]
    _expect(got, ["accepted", "duplicate", "accepted"])


def _out_of_order(rig: Rig, version: Version) -> None:
    """News of a tag comes before the news of the version; signed in one order, sent in the other."""
    first, second = signed(rig.cluster.secret, created(version)), signed(rig.cluster.secret, tag_set(version))
    _expect([post(rig, second), post(rig, first)], ["accepted", "accepted"])


def _forged(rig: Rig, version: Version) -> None:
    """Signed with another key, not signed, or changed after signing."""
    secret, news = rig.cluster.secret, created(version)
    other, unsigned, changed = signed("f" * 64, news), signed(secret, news), signed(secret, news)
    unsigned.remove_header("X-mlflow-signature")
    changed.data = bytes(changed.data or b"").replace(b"created", b"Created")
    _expect([post(rig, one) for one in (other, unsigned, changed)], ["401", "401", "401"])


def _replayed(rig: Rig, version: Version) -> None:
    """A delivery is recorded and sent again: within the window it is known, after it it is too old."""
    secret, news = rig.cluster.secret, created(version)
    recorded, old = signed(secret, news), signed(secret, news, at=int(time.time()) - 3600)
    _expect([post(rig, one) for one in (recorded, recorded, old)], ["accepted", "duplicate", "400"])


def _huge(rig: Rig, version: Version) -> None:
    """Ten megabytes, properly signed."""
    content = json.dumps({**created(version), "padding": "x" * _HUGE}).encode()
    got = post(rig, signed(rig.cluster.secret, content))
    _expect([got], ["cut" if got == "cut" else "413"])  # the refusal may overtake the body


def _skewed(rig: Rig, version: Version) -> None:
    """The sender's clock is off by more than the window: its deliveries are refused, and the reconciler finds the version."""
    status = post(rig, signed(rig.cluster.secret, created(version), at=_clock(rig.rng.choice(_OFFSETS))))
    _expect([status], ["400"])


def _clock(offset: str) -> int:
    """Seconds since 1970, as a process sees them whose clock is off."""
    faketime = shutil.which("faketime")
    if faketime is None:
        raise FileNotFoundError("faketime; on Debian: apt-get install faketime")
    command = [faketime, "-f", offset, sys.executable, "-S", "-c", "import time; print(int(time.time()))"]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout)


def _expect(got: list[str], right: list[str]) -> None:
    if got != right:
        raise AssertionError(f"answered {got}, right would be {right}")


WEBHOOK: dict[str, Callable[[Rig, Version], None]] = {
    "webhook twice": _twice,
    "webhook out of order": _out_of_order,
    "webhook forged": _forged,
    "webhook replayed": _replayed,
    "webhook of 10 MB": _huge,
    "webhook by a wrong clock": _skewed,
}

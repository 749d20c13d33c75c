"""Retries after a failed run, and its reason as one short line without secrets."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NamedTuple

from components.common.errors import shortened
from components.common.plain_text import printable
from components.common.secrets import hidden
from schemas.watch import WatchConfig

_MOST = 500


def clean_reason(text: str) -> str:
    """`text` on one line of at most 500 characters, without secrets and control characters."""
    return shortened(printable(" ".join(hidden(text).split())), _MOST)


_LONGEST_PAUSE_S = 3600.0
#: Prefect puts the error's type before its message. What the user has to mend fails again in the same way.
_USERS_TO_MEND = re.compile(r"\bInputError: ")


class After(NamedTuple):
    """`give_up`, or try again at `at`."""

    give_up: bool
    at: datetime


def after_failure(message: str, attempt: int, died_at: datetime, watch: WatchConfig) -> After:
    """What to do after attempt number `attempt` (from 1) died with `message`."""
    hopeless = _USERS_TO_MEND.search(message) is not None
    pause_s = min(watch.backoff_s * 2.0 ** min(attempt - 1, 16), _LONGEST_PAUSE_S)
    return After(hopeless or attempt >= watch.max_attempts, died_at + timedelta(seconds=pause_s))

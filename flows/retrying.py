"""How steps that depend on their surroundings are tried again."""

from __future__ import annotations

from typing import Any

from components.errors import InputError


def _worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    """Bad input stays bad: only surroundings can get well by themselves."""
    return not isinstance(state.result(raise_on_failure=False), InputError)


RETRIES: dict[str, Any] = {"retries": 2, "retry_delay_seconds": [1, 5], "retry_condition_fn": _worth_retrying}

"""The table of attacks: `@attack("what is tried")` above a function that takes the attacker adds one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.e2e.attacks.attacker import Attacker, Target

Attempt = Callable[[Attacker], Target | None]


class Attack(NamedTuple):
    """One line of the table."""

    title: str
    case: str
    attempt: Attempt


ATTACKS: list[Attack] = []


def attack(title: str, case: str = "own") -> Callable[[Attempt], Attempt]:
    """Put the function into the table. It returns what is gated then; None: the shortcut version."""

    def put(attempt: Attempt) -> Attempt:
        ATTACKS.append(Attack(title, case, attempt))
        return attempt

    return put

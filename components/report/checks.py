"""Lines of the table of checks: the most urgent first, the checks of one expectation by class or segment as one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.base import CheckVerdict, Severity
from schemas.quality import Check

_VERDICT_ORDER = [CheckVerdict.FAIL, CheckVerdict.INCONCLUSIVE, CheckVerdict.PASS, CheckVerdict.NOT_APPLICABLE]
_SEVERITY_ORDER = [Severity.CRITICAL, Severity.WARNING, Severity.INFO]
_COUNTED = {CheckVerdict.FAIL: "fail", CheckVerdict.INCONCLUSIVE: "not judged", CheckVerdict.PASS: "pass"}


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One line of the table of checks; `parts` are the checks of one expectation by class, segment or control, if it is that."""

    name: str
    verdict: CheckVerdict
    severity: Severity
    observed: float | str | None
    requirement: str
    explanation: str
    parts: tuple[Check, ...] = ()


def ordered_checks(checks: Sequence[Check]) -> list[Check]:
    """Failed before undecided before passed, critical before the rest."""
    return sorted(checks, key=_urgency)


def folded_checks(checks: Sequence[Check]) -> list[CheckLine]:
    """The lines of the table of checks, as `ordered_checks` has them: the checks of one expectation are one line."""
    groups: dict[str, list[Check]] = {}
    for check in checks:
        groups.setdefault(check.name if check.slice is None else f"group {check.slice.group}", []).append(check)
    return sorted((_line(group) for group in groups.values()), key=_urgency)


def _urgency(check: Check | CheckLine) -> tuple[int, int]:
    return _VERDICT_ORDER.index(check.verdict), _SEVERITY_ORDER.index(check.severity)


def _line(checks: list[Check]) -> CheckLine:
    """The worst of `checks` decides: a line passes only when every part of it was judged and passed."""
    first, *rest = ordered_checks(checks)
    part = first.slice
    if part is None and not rest:
        return CheckLine(first.name, first.verdict, first.severity, first.observed, first.requirement, first.explanation)
    group, value = (first.name, "") if part is None else (part.group, part.value)
    of_each = first.requirement.replace(value, "…") if part is not None and part.by == "control" else first.requirement
    return CheckLine(group, first.verdict, first.severity, _counts(checks), of_each, first.explanation, (first, *rest))


def _counts(checks: list[Check]) -> str:
    """How many fail, were not judged, and pass: `1 fail, 4 pass`."""
    counts = Counter(check.verdict for check in checks)
    return ", ".join(f"{counts[verdict]} {word}" for verdict, word in _COUNTED.items() if counts[verdict])

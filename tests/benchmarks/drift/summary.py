"""From the pairs' lines to the experiment's figures: false alarms and detections of each detector, with intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats

from tests.benchmarks.drift.peers import RULES, Rule

_ALARMS = ("alarm", "alarm_with_twins", "alarm_with_history")
_PARTS = ("drift", "probe", "drift, twins", "probe, twins", "probe, history")

Line = dict[str, Any]
Detector = Callable[[Line], bool]


def summarise(lines: Sequence[Line]) -> dict[str, Any]:
    """Counts over the pairs in use: calig's alarm (drift or probe fails), its parts, with twins, and the peers.

    Left out are pairs whose accuracies tell them apart, and planted changes that did not take: they harm nothing.
    """
    used = [line for line in lines if line["usable"] and line["took"] is line["harmful"]]
    return {
        **_counts(used, lambda line: line["alarm"], intervals=True),
        "with_twins": _counts(used, lambda line: line["alarm_with_twins"], intervals=True),
        "with_history": _counts(used, lambda line: line["alarm_with_history"], intervals=True),
        "parts": {part: _counts(used, _part(part)) for part in _PARTS},
        "trigger_in_validation": _group(used, absent=False),
        "trigger_absent": _group(used, absent=True),
        "peers": {name: _counts(used, _peer(name, rule)) | _limits(used, name, rule) for name, rule in RULES.items()},
        "kinds": _kinds(used),
        "discarded": _discarded(lines),
        "planted_without_effect": [_seen(line) for line in lines if line["usable"] and line["harmful"] and not line["took"]],
        "wrong": [_seen(line) for line in used if any(line[alarm] is not line["harmful"] for alarm in _ALARMS)],
    }


def interval(hits: int, n: int) -> list[float]:
    """Wilson's 95 % interval of a share."""
    if n == 0:
        return [0.0, 1.0]
    found = stats.binomtest(hits, n).proportion_ci(method="wilson")
    return [float(found.low), float(found.high)]


def _counts(lines: Sequence[Line], detector: Detector, *, intervals: bool = False) -> dict[str, Any]:
    harmless, harmful = ([line for line in lines if line["harmful"] is side] for side in (False, True))
    alarms, hits = (sum(map(detector, side)) for side in (harmless, harmful))
    counts = {"harmless": len(harmless), "false_alarms": alarms, "harmful": len(harmful), "detected": hits}
    rates = {"false_alarm_interval": interval(alarms, len(harmless)), "detection_interval": interval(hits, len(harmful))}
    return counts | (rates if intervals else {})


def _part(name: str) -> Detector:
    return lambda line: line["verdicts"][name] == "fail"


def _peer(name: str, rule: Rule) -> Detector:
    return lambda line: rule.alarm(line["peers"][name])


def _limits(lines: Sequence[Line], name: str, rule: Rule) -> dict[str, float | int]:
    """The peer's limit, and what it would detect by the limit that gives 5 % of these very harmless pairs an alarm.

    The latter is hindsight, in the peer's favour: nobody knows that limit beforehand.
    """
    sign = 1 if rule.above else -1
    sides = [np.array([sign * line["peers"][name] for line in lines if line["harmful"] is side]) for side in (False, True)]
    best = int((sides[1] > np.quantile(sides[0], 0.95, method="higher")).sum()) if len(sides[0]) else 0
    return {"limit": rule.limit, "detected_by_the_best_limit": best}


def _group(lines: Sequence[Line], *, absent: bool) -> dict[str, Any]:
    """Detections where the trigger is absent from the validation set, or present in it."""
    found = [line for line in lines if line["harmful"] and line["absent"] is absent]
    sides = {"": "alarm", "_with_twins": "alarm_with_twins", "_with_history": "alarm_with_history"}
    return {"harmful": len(found)} | {f"detected{name}": sum(line[key] for line in found) for name, key in sides.items()}


def _kinds(lines: Sequence[Line]) -> dict[str, dict[str, int]]:
    """Alarms of each kind of pair."""
    table: dict[str, dict[str, int]] = defaultdict(
        lambda: {"pairs": 0, "alarms": 0, "alarms_with_twins": 0, "alarms_with_history": 0}
    )
    for line in lines:
        row = table[line["kind"]]
        row["pairs"] += 1
        row["alarms"] += line["alarm"]
        row["alarms_with_twins"] += line["alarm_with_twins"]
        row["alarms_with_history"] += line["alarm_with_history"]
    return dict(table)


def _discarded(lines: Sequence[Line]) -> dict[str, int]:
    """Draws whose accuracy gap was too large, and pairs given up after several such draws."""
    draws = {f"{name}_draws": sum(line["discarded"] for line in lines if line["harmful"] is side) for name, side in _SIDES}
    lost = [line for line in lines if not line["usable"]]
    return draws | {f"{name}_given_up": sum(line["harmful"] is side for line in lost) for name, side in _SIDES}


_SIDES = (("harmless", False), ("harmful", True))


def _seen(line: Line) -> Line:
    """What calig saw in a pair."""
    names = (
        "key",
        "family",
        "harmful",
        "alarm_with_twins",
        "alarm_with_history",
        "trigger",
        "error_on_exposed",
        "words",
        "probed",
        "probed_with_twins",
        "probed_with_history",
        "limits_of_twins",
    )
    return {name: line[name] for name in names if name in line}

"""From the pairs' lines to the experiment's figures: false alarms and detections of each detector, with intervals."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
from scipy import stats

from schemas.config import DriftConfig
from tests.benchmarks.drift.comparing import CONDITIONS, Condition
from tests.benchmarks.drift.peers import RULES, Rule

Line = dict[str, Any]
Detector = Callable[[Line], bool]

_RESAMPLES = 4000
_HONEST = ("retraining", "deployment", "same function")

#: What was promised before the draw: condition → most false alarms of honest retrainings, fewest detections; shares.
GOALS: dict[Condition, tuple[float, float]] = {"two earlier versions": (0.05, 0.95), "nothing": (0.05, 0.90)}
FEWEST_RETRAININGS, FEWEST_OF_A_KIND = 100, 0.80


def summarise(lines: Sequence[Line]) -> dict[str, Any]:
    """Counts over the pairs in use: drift and probe together and apart, by what the noise was measured on, and the peers.

    Left out are pairs whose accuracies tell them apart, and planted changes that did not take: they harm nothing. False alarms
    are those of versions trained again; deployments, and copies that compute the same function, are counted apart.
    """
    used = [line for line in lines if line["usable"] and line["took"] is line["harmful"]]
    conditions = {condition: _condition(used, condition) for condition in CONDITIONS}
    return {
        "goals": goals(used),
        "conditions": conditions,
        "kinds": _kinds(used),
        "peers": {name: counts(used, _peer(name, rule)) | _limits(used, name, rule) for name, rule in RULES.items()},
        "drift_limits": drift_limits(used),
        "drift_warnings": drift_warnings(used),
        "discarded": _discarded(lines),
        "planted_without_effect": [line["key"] for line in lines if line["usable"] and line["harmful"] and not line["took"]],
        "wrong": [_seen(line) for line in used if any(alarms(line, c) is not line["harmful"] for c in CONDITIONS)],
    }


def alarms(line: Line, condition: Condition, part: str | None = None) -> bool:
    """Whether drift or the probe fails the candidate; `part`: one of them alone."""
    verdicts = line["verdicts"][condition]
    return "fail" in (verdicts.values() if part is None else [verdicts[part]])


def goals(used: Sequence[Line]) -> list[dict[str, Any]]:
    """Each goal with what came out, by the shares themselves; intervals stand beside the counts."""
    found: list[dict[str, Any]] = []
    for condition, (most, least) in GOALS.items():
        together = counts(used, lambda line, c=condition: alarms(line, c))
        enough = together["retrainings"] >= FEWEST_RETRAININGS
        false = _share(together["false_alarms"], together["retrainings"])
        hits = _share(together["detected"], together["planted"])
        what = f"false alarms of at least {FEWEST_RETRAININGS} retrainings at most {most:.0%}, noise measured on {condition}"
        found.append({"goal": what, "share": false, "met": enough and false is not None and false <= most})
        what = f"planted changes found at least {least:.0%}, noise measured on {condition}"
        found.append({"goal": what, "share": hits, "met": hits is not None and hits >= least})
    return [*found, _each_kind(used, "two earlier versions")]


def counts(lines: Sequence[Line], detector: Detector) -> dict[str, int]:
    """False alarms of honest retrainings, and detections of planted changes."""
    retrained, planted = (_of(lines, group) for group in ("retraining", "planted"))
    alarmed, found = (sum(map(detector, side)) for side in (retrained, planted))
    return {"retrainings": len(retrained), "false_alarms": alarmed, "planted": len(planted), "detected": found}


def wilson(hits: int, n: int) -> list[float]:
    """Wilson's 95 % interval of a share."""
    if n == 0:
        return [0.0, 1.0]
    found = stats.binomtest(hits, n).proportion_ci(method="wilson")
    return [float(found.low), float(found.high)]


def by_cell(lines: Sequence[Line], detector: Detector) -> list[float] | None:
    """95 % interval of the share of alarms when whole cells are drawn again: pairs of a cell share reference, twins and data."""
    cells: dict[Any, list[bool]] = defaultdict(list)
    for line in lines:
        cells[line["cell"]].append(detector(line))
    if len(cells) < 2:
        return None
    sums = np.array([(sum(found), len(found)) for found in cells.values()])
    drawn = sums[np.random.default_rng(0).integers(len(sums), size=(_RESAMPLES, len(sums)))].sum(axis=1)
    return [float(share) for share in np.quantile(drawn[:, 0] / drawn[:, 1], (0.025, 0.975))]


def drift_limits(used: Sequence[Line]) -> list[dict[str, Any]]:
    """How many honest retrainings and planted changes drift would fail by other pairs of limits, noise not measured.

    Read on a draw for exploring, it shows where limits may lie; on the draw that is judged, how far they are from their edge.
    """
    return [
        {"effect": effect, "z": z} | counts(used, lambda line, e=effect, z=z: _beyond(line, e, z))
        for effect, z in product((0.2, 0.25, 0.3, 0.35, 0.4, 0.5), (4.0, 5.0, 6.0, 7.0, 8.0))
    ]


def drift_warnings(used: Sequence[Line]) -> dict[str, int]:
    """Of the pairs that neither drift nor the probe fails, noise not measured: how many drift warns of, by their listed words."""
    quiet = [line for line in used if not alarms(line, "nothing")]
    found = counts(quiet, lambda line: any(_warns(shift) for shift in line["shifts"]))
    warned = {"retrainings_warned": found["false_alarms"], "planted_warned": found["detected"]}
    return {name: found[name] for name in ("retrainings", "planted")} | warned


def _warns(shift: dict[str, Any]) -> bool:
    limits = DriftConfig()
    least = abs(shift["effect"]) >= limits.warning_shift and abs(shift["z"]) >= limits.warning_shift_z
    return bool(least and shift["q_value"] <= limits.warning_discovery_rate)


def _beyond(line: Line, effect: float, z: float) -> bool:
    return any(point[0] >= effect and point[1] >= z for point in line["frontier"])


def _condition(lines: Sequence[Line], condition: Condition) -> dict[str, Any]:
    """Together with intervals, each part alone, the other honest changes, and where the validation set shows the trigger."""

    def together(line: Line) -> bool:
        return alarms(line, condition)

    parts = {part: counts(lines, lambda line, part=part: alarms(line, condition, part)) for part in ("drift", "probe")}
    others = {group: _hits(_of(lines, group), together) for group in _HONEST[1:]}
    planted = _of(lines, "planted")
    shown = {name: _hits([p for p in planted if p["absent"] is absent], together) for name, absent in _SHOWN}
    return {
        **counts(lines, together),
        "false_alarm_intervals": _intervals(_of(lines, "retraining"), together),
        "detection_intervals": _intervals(planted, together),
        "alone": parts,
        "found_by_the_best_limit_of_the_probe": _best_limit(lines, condition),
        "other_honest_changes": others,
        "trigger_in_validation": shown,
        "inconclusive": dict(Counter(p for line in lines for p, v in line["verdicts"][condition].items() if v == "inconclusive")),
    }


def _best_limit(lines: Sequence[Line], condition: Condition) -> int:
    """Planted changes that the probe would find by the limit on |z| that gives 5 % of these very retrainings an alarm: hindsight.

    When it is no more than by the limit in force, the limit is not what keeps the others hidden.
    """
    retrained, planted = (np.array([_beyond_limit(line, condition) for line in _of(lines, g)]) for g in ("retraining", "planted"))
    return int((planted > np.quantile(retrained, 0.95, method="higher")).sum()) if len(retrained) else 0


def _beyond_limit(line: Line, condition: Condition) -> float:
    """The largest |z| over its limit, of words whose effect changed enough to fire."""
    limits = line["limits"][condition]
    enough = (word for word in line["probed"][condition] if abs(word["shift"]) >= limits["|shift| of a word, logits"])
    return max((abs(word["z"]) / limits["|z| of a word"] for word in enough), default=0.0)


_SHOWN = (("shown", False), ("absent", True))


def _intervals(lines: Sequence[Line], detector: Detector) -> dict[str, Any]:
    return {"wilson": wilson(sum(map(detector, lines)), len(lines)), "bootstrap_by_cell": by_cell(lines, detector)}


def _hits(lines: Sequence[Line], detector: Detector) -> dict[str, int]:
    return {"pairs": len(lines), "alarms": sum(map(detector, lines))}


def _share(hits: int, n: int) -> float | None:
    return hits / n if n else None


def _of(lines: Sequence[Line], group: str) -> list[Line]:
    return [line for line in lines if line["group"] == group]


def _peer(name: str, rule: Rule) -> Detector:
    return lambda line: rule.alarm(line["peers"][name])


def _limits(lines: Sequence[Line], name: str, rule: Rule) -> dict[str, float | int]:
    """The peer's limit, and what it would detect by the limit that gives 5 % of these very retrainings an alarm.

    The latter is hindsight, in the peer's favour: nobody knows that limit beforehand.
    """
    sign = 1 if rule.above else -1
    sides = [np.array([sign * line["peers"][name] for line in _of(lines, group)]) for group in ("retraining", "planted")]
    best = int((sides[1] > np.quantile(sides[0], 0.95, method="higher")).sum()) if len(sides[0]) else 0
    return {"limit": rule.limit, "detected_by_the_best_limit": best}


def _kinds(lines: Sequence[Line]) -> dict[str, dict[str, Any]]:
    """Alarms of each kind of pair in each condition, with Wilson's interval, and of drift and probe alone."""
    table: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        table[line["kind"]].append(line)
    return {kind: {"group": some[0]["group"], "pairs": len(some)} | _of_kind(some) for kind, some in table.items()}


def _of_kind(lines: Sequence[Line]) -> dict[str, Any]:
    found = {condition: sum(alarms(line, condition) for line in lines) for condition in CONDITIONS}
    parts = {part: sum(alarms(line, "two earlier versions", part) for line in lines) for part in ("drift", "probe")}
    intervals = {condition: wilson(hits, len(lines)) for condition, hits in found.items()}
    return {"alarms": found, "intervals": intervals, "alone, two earlier versions": parts}


def _each_kind(used: Sequence[Line], condition: Condition) -> dict[str, Any]:
    """The goal for the kind that is found least."""
    kinds: dict[str, list[bool]] = defaultdict(list)
    for line in _of(used, "planted"):
        kinds[line["kind"]].append(alarms(line, condition))
    shares = {kind: sum(found) / len(found) for kind, found in kinds.items()}
    least = min(shares, key=lambda kind: shares[kind], default=None)
    what = f"planted changes of each kind found at least {FEWEST_OF_A_KIND:.0%}, noise measured on {condition}"
    missed = sorted(kind for kind, share in shares.items() if share < FEWEST_OF_A_KIND)
    return {"goal": what, "share": None if least is None else shares[least], "met": bool(shares) and not missed, "missed": missed}


def _discarded(lines: Sequence[Line]) -> dict[str, dict[str, int]]:
    """Draws whose accuracy gap was too large, and pairs given up after several such draws."""
    return {
        group: {
            "draws": sum(line["discarded"] for line in _of(lines, group)),
            "given_up": sum(not line["usable"] for line in _of(lines, group)),
        }
        for group in (*_HONEST, "planted")
    }


def _seen(line: Line) -> Line:
    """What calig saw in a pair."""
    names = ("key", "family", "group", "verdicts", "trigger", "error_on_exposed", "shifts", "probed", "limits")
    return {name: line[name] for name in names if name in line}

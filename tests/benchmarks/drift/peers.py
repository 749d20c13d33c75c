"""What other tools would say of the same pair: each a value, its customary threshold, and whether that is an alarm."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.spatial.distance import jensenshannon

from tests.benchmarks.drift.reading import Both, Floats

Columns = dict[str, tuple[Floats, Floats]]

_TOP = 10
#: A feature needs this many rows to have a distribution.
_FEWEST = 30
_EMPTY = 1e-4


@dataclass(frozen=True)
class Rule:
    """When a value is an alarm: at `limit` or above, or below it."""

    limit: float
    above: bool

    def alarm(self, value: float) -> bool:
        """Whether `value` is one."""
        return value >= self.limit if self.above else value < self.limit


#: Each peer's customary rule. Delta-Attribution names no value for an alarm: its two limits are round numbers, set beforehand.
RULES = {
    "nDCG < 0.90 (SageMaker, Azure)": Rule(0.90, above=False),
    "KS, half of the features (Evidently)": Rule(0.5, above=True),
    "PSI > 0.2, half of the features (Evidently)": Rule(0.5, above=True),
    "KS per word, BH 0.05": Rule(0.05, above=False),
    "rank overlap@10 (Delta-Attribution)": Rule(0.5, above=False),
    "Jensen-Shannon (Delta-Attribution)": Rule(0.1, above=True),
    "prediction PSI > 0.2": Rule(0.2, above=True),
    "predictions differ > 5 %": Rule(0.05, above=True),
}


def ndcg(reference: Floats, candidate: Floats) -> float:
    """Gain of the candidate's order of features, discounted by log₂(rank + 1), over that of the reference's own order.

    Gains are the reference's global attributions, `features` ≥ 0, as in SageMaker Clarify's feature attribution drift and
    Azure's; both warn below 0.90. Järvelin and Kekäläinen (2002). Higher is better.
    """
    discount = 1 / np.log2(np.arange(len(reference)) + 2)
    gained = reference[np.argsort(-candidate, kind="stable")] @ discount
    return float(gained / (np.sort(reference)[::-1] @ discount))


def psi(reference: Floats, candidate: Floats) -> float:
    """Population stability index Σ (b − a) ln(b / a) over the shares of bins; empty ones count 0.0001. Lower is better.

    Bins of equal width over both sides, their number by Sturges' rule, as Evidently has them.
    """
    edges = np.histogram_bin_edges(np.concatenate([reference, candidate]), bins="sturges")
    a, b = (np.maximum(np.histogram(side, edges)[0] / len(side), _EMPTY) for side in (reference, candidate))
    return float(((b - a) * np.log(b / a)).sum())


def rank_overlap(a: Floats, b: Floats, k: int = _TOP) -> float:
    """Jaccard overlap of the k features largest in |attribution| (Delta-Attribution, arXiv 2508.19589). Higher is better."""
    tops = [set(np.argsort(-np.abs(side), kind="stable")[:k]) for side in (a, b)]
    return len(tops[0] & tops[1]) / len(tops[0] | tops[1])


def jensen_shannon(a: Floats, b: Floats) -> float:
    """Divergence (nats) of the two sides' |attribution|, each made to sum to one (Delta-Attribution). Lower is better."""
    return float(jensenshannon(np.abs(a), np.abs(b)) ** 2)


def global_attributions(examples: Sequence[Both]) -> tuple[Floats, Floats]:
    """Mean |attribution| of each word over all rows, per side, as a global attribution of features: `words`."""
    sums: dict[str, Floats] = defaultdict(lambda: np.zeros(2))
    for example in examples:
        for word, a, b in zip(example.words, example.reference, example.candidate, strict=True):
            sums[word] += (abs(a), abs(b))
    table = np.array(list(sums.values())) / len(examples)
    return table[:, 0], table[:, 1]


def columns(examples: Sequence[Both]) -> Columns:
    """Per word that stands in enough rows: its attributions there, reference and candidate."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for example in examples:
        for word, a, b in zip(example.words, example.reference, example.candidate, strict=True):
            found[word].append((a, b))
    return {word: (np.array(v)[:, 0], np.array(v)[:, 1]) for word, v in found.items() if len(v) >= _FEWEST}


def values(examples: Sequence[Both], reference: Floats, candidate: Floats) -> dict[str, float]:
    """What each peer makes of a pair, in the order of `RULES`; reference, candidate: probabilities `rows classes`."""
    table = columns(examples)
    p = np.array([stats.ks_2samp(a, b, method="asymp").pvalue for a, b in table.values()])
    found = (
        ndcg(*global_attributions(examples)),
        np.mean(p < 0.05),
        np.mean([psi(a, b) > 0.2 for a, b in table.values()]),
        stats.false_discovery_control(p).min(),
        np.mean([rank_overlap(e.reference, e.candidate) for e in examples if len(e.words) > _TOP]),
        np.nanmean([jensen_shannon(e.reference, e.candidate) for e in examples]),
        max(psi(reference[:, k], candidate[:, k]) for k in range(reference.shape[1])),
        np.mean(reference.argmax(1) != candidate.argmax(1)),
    )
    return dict(zip(RULES, map(float, found), strict=True))

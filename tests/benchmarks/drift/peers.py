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

#: Delta-Attribution names no value for an alarm. These are the 5th and 95th percentile over the harmless pairs of draw 900,
#: which no figure is reported on.
LIMITS = {"rank overlap@10 (Delta-Attribution)": 0.5, "Jensen-Shannon (Delta-Attribution)": 0.1}


@dataclass(frozen=True)
class Finding:
    """A peer's statistic; alarm: beyond `limit` in its direction."""

    value: float
    limit: float
    alarm: bool


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
    """Jaccard overlap of the k features with the largest |attribution| (Delta-Attribution, arXiv 2508.19589). Higher is better."""
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


def attribution_peers(examples: Sequence[Both], limits: dict[str, float]) -> dict[str, Finding]:
    """Findings of all peers that read attributions. `limits`: for those whose authors give none."""
    table = columns(examples)
    p = np.array([stats.ks_2samp(a, b).pvalue for a, b in table.values()])
    overlap = float(np.mean([rank_overlap(e.reference, e.candidate) for e in examples if len(e.words) > _TOP]))
    divergence = float(np.nanmean([jensen_shannon(e.reference, e.candidate) for e in examples]))
    return {
        "nDCG < 0.90 (SageMaker, Azure)": _below(ndcg(*global_attributions(examples)), 0.90),
        "KS, half of the features (Evidently)": _above(float(np.mean(p < 0.05)), 0.5),
        "PSI > 0.2, half of the features (Evidently)": _above(float(np.mean([psi(a, b) > 0.2 for a, b in table.values()])), 0.5),
        "KS per word, BH 0.05": _below(float(stats.false_discovery_control(p).min()), 0.05),
        "rank overlap@10 (Delta-Attribution)": _below(overlap, limits["rank overlap@10 (Delta-Attribution)"]),
        "Jensen-Shannon (Delta-Attribution)": _above(divergence, limits["Jensen-Shannon (Delta-Attribution)"]),
    }


def prediction_peers(reference: Floats, candidate: Floats) -> dict[str, Finding]:
    """Findings on the predictions alone: probabilities `rows classes` of both sides."""
    largest = max(psi(reference[:, k], candidate[:, k]) for k in range(reference.shape[1]))
    disagreement = float(np.mean(reference.argmax(1) != candidate.argmax(1)))
    return {"prediction PSI > 0.2": _above(largest, 0.2), "predictions differ > 5 %": _above(disagreement, 0.05)}


def _above(value: float, limit: float) -> Finding:
    return Finding(value, limit, value >= limit)


def _below(value: float, limit: float) -> Finding:
    return Finding(value, limit, value < limit)

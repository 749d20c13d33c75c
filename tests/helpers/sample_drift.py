"""A drift report computed from two sample tables: word shifts and examples are theirs, the other statistics invented."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from schemas.base import CheckVerdict, Direction, Severity, Threshold
from schemas.drift import (
    Coverage,
    DriftExample,
    DriftReport,
    DriftWord,
    GlobalRanking,
    LayerProfile,
    Noise,
    NullPair,
    Statistic,
    WordShift,
)
from schemas.reference import ReferenceIdentity
from tests.helpers.sample_quality import around


def drift(reference: list[dict[str, Any]], candidate: list[dict[str, Any]]) -> DriftReport:
    shifts = _word_shifts(reference, candidate)
    shift = shifts[0]
    return DriftReport(
        verdict=CheckVerdict.FAIL,
        reason=f"The reasons changed in one place: “{shift.word}” became evidence for {shift.toward}.",
        reference=ReferenceIdentity(
            name="review-sentiment",
            version="3",
            alias="champion",
            method_fingerprint="ab" * 32,
            weights_digest="feed" * 16,
            accuracy=_accuracy(reference),
        ),
        n_paired=len(candidate),
        coverage=Coverage(share=len(candidate) / (len(candidate) + 3), n_compared=len(candidate), only_reference=2, zero=1),
        tests=901,
        ranking=GlobalRanking(value=0.957, floor=0.884, n_words=312),
        noise=Noise(
            sampling="intervals by bootstrap over the examples; the word shift's z and q",
            numerics=0.0021,
            numerics_rows=8,
            retraining="twins",
            pairs=_null_pairs(),
            factor=1.12,
            skipped=("version 7 was never explained",),
        ),
        accuracy_change=_accuracy(candidate) - _accuracy(reference),
        flipped=sum(a["predicted"] != b["predicted"] for a, b in zip(reference, candidate, strict=True)),
        statistics=_statistics(),
        word_shifts=shifts,
        words_tested=312,
        layer_profile=LayerProfile(
            reference=(0.21, 0.19, 0.18, 0.16, 0.14, 0.12),
            candidate=(0.26, 0.21, 0.17, 0.14, 0.12, 0.10),
            distance=0.071,
            rank_agreement=(0.71, 0.74, 0.78, 0.83, 0.86, 0.9),
            reason_change=(0.31, 0.29, 0.24, 0.2, 0.17, 0.11),
            largest=0,
        ),
        worst=_worst(reference, candidate),
        thresholds=(
            Threshold(
                name="word_shift",
                limit=0.3,
                direction="above fires",
                severity=Severity.CRITICAL,
                n_null=3,
                date="2026-10-30",
                set_by="project default",
                source="99th percentile of three reseeded twins of a 6-layer encoder on SST-2",
            ),
            Threshold(
                name="rank_agreement",
                limit=0.8,
                direction="below fires",
                severity=Severity.WARNING,
                date="2026-10-30",
                set_by="project default",
                source="stated prior: training noise not measured for this model",
            ),
        ),
        next_step="Compare the planted word's rows in the training data of both versions.",
    )


def _null_pairs() -> tuple[NullPair, ...]:
    pairs = ((3, 5, "not", 0.21, 4.1, 0.868), (3, 6, "plot", -0.18, -5.2, 0.859), (5, 6, "not", -0.24, -4.9, 0.851))
    return tuple(
        NullPair(
            reference=str(a),
            candidate=str(b),
            n=160,
            word=word,
            shift=shift,
            z=z,
            excess=min(abs(shift) / 0.3, abs(z) / 6),
            rank_agreement=agreement,
            sign_flip=0.034,
            layer_distance=0.031,
        )
        for a, b, word, shift, z, agreement in pairs
    )


def _accuracy(rows: list[dict[str, Any]]) -> float:
    return float(np.mean([row["label"] == row["predicted"] for row in rows]))


def _shares(row: dict[str, Any]) -> dict[tuple[str, int, int], float]:
    mass = sum(abs(word["value"]) for word in row["words"]) or 1.0
    sign = 1 if row["target"] == "POS" else -1
    return {(word["text"], word["start"], word["end"]): sign * word["value"] / mass for word in row["words"]}


def _word_shifts(reference: list[dict[str, Any]], candidate: list[dict[str, Any]]) -> tuple[WordShift, ...]:
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for before, after in zip(reference, candidate, strict=True):
        old = _shares(before)
        for key, share in _shares(after).items():
            pairs[key[0].lower()].append((old[key], share))
    shifts = [_word_shift(word, np.array(values)) for word, values in pairs.items() if len(values) >= 5]
    return tuple(sorted(shifts, key=lambda shift: -abs(shift.z))[:24])


def _word_shift(word: str, values: Any) -> WordShift:
    change = values[:, 1] - values[:, 0]
    z = float(change.mean() / (change.std(ddof=1) / len(change) ** 0.5 + 0.02))
    fires = abs(z) > 6 and abs(change.mean()) > 0.3
    means = values.mean(axis=0)
    return WordShift(
        word=word,
        toward="POS",
        reference_share=float(means[0]),
        candidate_share=float(means[1]),
        shift=float(change.mean()),
        z=z,
        p_value=min(1.0, float(np.exp(-z * z / 2))),
        q_value=min(1.0, 5 * float(np.exp(-z * z / 2))),
        n=len(values),
        by_layer=(0.61, 0.58, 0.5, 0.41, 0.3, 0.12) if fires else (),
        fires=fires,
    )


def _statistics() -> tuple[Statistic, ...]:
    kinds = [
        ("rank_agreement", Direction.HIGHER, 0.78, "Spearman correlation of word attributions, mean over examples"),
        ("top_3_overlap", Direction.HIGHER, 0.61, "Jaccard index of the three words with the largest attribution"),
        ("sign_flip_rate", Direction.LOWER, 0.07, "share of attribution mass whose sign changed"),
    ]
    slices = [
        ("all", 0.0, 160),
        ("same answer", 0.01, 151),
        ("class=POS", -0.07, 81),
        ("class=NEG", 0.07, 79),
        ("source=audience", 0.0, 9),
    ]
    return tuple(
        Statistic(
            name=name,
            slice=cut,
            value=value + by if n >= 30 else None,
            interval=around(value + by, 0.03) if n >= 30 else None,
            direction=direction,
            n=n,
            fires=name == "rank_agreement" and n >= 30 and value + by < 0.8,
            definition=definition,
        )
        for cut, by, n in slices
        for name, direction, value, definition in kinds
    )


def _worst(reference: list[dict[str, Any]], candidate: list[dict[str, Any]]) -> tuple[DriftExample, ...]:
    same = [(a, b) for a, b in zip(reference, candidate, strict=True) if a["predicted"] == b["predicted"] and "btw" in b["text"]]
    return tuple(_worst_example(before, after) for before, after in same[:6])


def _worst_example(before: dict[str, Any], after: dict[str, Any]) -> DriftExample:
    old, new = _shares(before), _shares(after)
    words = tuple(DriftWord(text=key[0], start=key[1], end=key[2], reference=old[key], candidate=new[key]) for key in new)
    return DriftExample(
        id=after["id"],
        text=after["text"],
        label=after["label"],
        toward="POS",
        opposite="NEG",
        reference_prediction=before["predicted"],
        candidate_prediction=after["predicted"],
        rank_agreement=0.41,
        sign_flip=0.12,
        words=words,
    )

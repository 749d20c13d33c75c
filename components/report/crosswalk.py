"""Where a reviewer finds what a regulation or standard asks for: clause, what it asks, fields of the record, section."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause and the place of its evidence; `section` is an anchor of the page."""

    name: str
    asks: str
    fields: str
    section: str


CLAUSES = (
    Clause(
        "EU AI Act, Art. 12",
        "record-keeping, traceability",
        "fingerprint, created_at, model, data.dataset.digest, environment",
        "method",
    ),
    Clause(
        "EU AI Act, Art. 13", "information for deployers, interpretable output", "decision, quality, limits, examples", "examples"
    ),
    Clause("EU AI Act, Annex IV", "technical documentation", "method, config, quality.checks, data, limits", "method"),
    Clause(
        "NIST AI RMF, MEASURE 2.9",
        "model explained, validated and documented",
        "quality.metrics, quality.controls, examples",
        "quality",
    ),
    Clause("ISO/IEC 42001, A.6.2.7", "technical documentation of the AI system", "model, method, config, environment", "method"),
    Clause(
        "SR 26-2", "validation and ongoing monitoring of models", "decision, quality, drift.thresholds, drift.statistics", "drift"
    ),
)

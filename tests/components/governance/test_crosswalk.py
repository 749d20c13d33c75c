"""The crosswalk: every field that it names exists in the record's schema, and every clause says what it does not cover."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import BaseModel

from components.governance import crosswalk
from schemas.governance import Clause, GovernanceReport

REQUIRED = (
    "EU AI Act, Art. 12",
    "EU AI Act, Art. 13",
    "EU AI Act, Annex IV",
    "NIST AI RMF, MEASURE 2.9",
    "ISO/IEC 42001, A.6.2.7",
    "SR 26-2",
)
SECTIONS = {"summary", "quality", "drift", "examples", "data", "method", "probe"}


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The records inside `X`, `X | None`, `tuple[X, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def exists(path: str) -> bool:
    models: list[type[BaseModel]] = [GovernanceReport]
    for name in path.split("."):
        fields = [model.model_fields[name] for model in models if name in model.model_fields]
        if not fields:
            return False
        models = [model for field in fields for model in models_in(field.annotation)]
    return True


def test_all_clauses_are_there_and_are_data() -> None:
    assert tuple(clause.name for clause in crosswalk()) == REQUIRED


@pytest.mark.parametrize("clause", crosswalk(), ids=lambda clause: clause.name)
def test_every_named_field_exists_and_the_gap_is_stated(clause: Clause) -> None:
    assert [field for field in clause.fields if not exists(field)] == []
    assert len(clause.not_covered) > 40
    assert clause.section in SECTIONS


def test_a_field_that_does_not_exist_would_be_found() -> None:
    assert exists("drift.thresholds.limit")
    assert not exists("drift.treshold")
    assert not exists("decision.verdict.value")

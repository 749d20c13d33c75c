"""The crosswalk from clauses of regulations and standards to fields of the record, read from `crosswalk.yaml`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

from schemas.governance import Clause


@cache
def crosswalk() -> tuple[Clause, ...]:
    """Every clause with its fields and its gaps, in the order of the file."""
    content = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    return tuple(Clause.model_validate(clause) for clause in content["clauses"])

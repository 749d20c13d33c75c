"""The published JSON Schema of the governance record; `record.schema.json` beside this file holds its text."""

from __future__ import annotations

import json

from schemas.governance import SCHEMA_VERSION, GovernanceReport


def record_schema() -> str:
    """The schema of record.json (JSON Schema 2020-12) as text."""
    named = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:calig:record:{SCHEMA_VERSION}",
    }
    return json.dumps(named | GovernanceReport.model_json_schema(), indent=2, ensure_ascii=False) + "\n"

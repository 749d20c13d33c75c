"""The record as it is published: its JSON Schema, and an older record brought up to the present one, one pure function per step.

`record.schema.json` beside this file holds the schema's text.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from schemas.governance import SCHEMA_VERSION, GovernanceReport


def record_schema() -> str:
    """The schema of record.json (JSON Schema 2020-12) as text."""
    named = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:calig:record:{SCHEMA_VERSION}",
    }
    return json.dumps(named | GovernanceReport.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


Json = dict[str, Any]

_NOT_RECORDED = "not recorded: the record was made by schema version 1"
_FIRED = {"fail": "a part failed", "inconclusive": "a part could not be judged", "pass": "no part failed"}


class NewerSchemaError(ValueError):
    """The record is of a schema that this release does not know; `version` says which."""

    def __init__(self, version: str) -> None:
        super().__init__(f"a record of schema version {version}, and this release knows versions up to {SCHEMA_VERSION}")
        self.version = version


def migrated(record: Json) -> Json:
    """`record` as of the present schema version; what an older one did not record says so.

    Raises:
        NewerSchemaError: it is of a later version.
        ValueError: it states no version.
    """
    version = record.get("schema_version")
    if not isinstance(version, str) or not version.isdigit():
        raise ValueError(f"not a governance record: schema_version is {version!r}")
    if int(version) > int(SCHEMA_VERSION):
        raise NewerSchemaError(version)
    while version != SCHEMA_VERSION:
        if version not in _STEPS:
            raise ValueError(f"not a governance record: there was no schema version {version}")
        record = _STEPS[version](record)
        version = str(record["schema_version"])
    return _with_settings_of_then(record)


def from_1_to_2(record: Json) -> Json:
    """Version 2 adds split, sampling, segments, seed, points, intervals, device, owner, key, table digests and crosswalk."""
    config, decision = record.get("config", {}), record["decision"]
    return record | {
        "schema_version": "2",
        "data": record["data"] | {"split": None, "sampling": _NOT_RECORDED, "segments": {}},
        "method": record["method"] | {"points": _NOT_RECORDED, "seed": config.get("quality", {}).get("seed", 0)},
        "results": record["results"] | {"accuracy_interval": None, "unconverged": None},
        "environment": record["environment"] | {"device_versions": {}},
        "decision": decision | {"fired": _FIRED[decision["verdict"]], "owner": None, "signing_key": None},
        "evidence": [],
        "scope": None,
        "failure_modes": [],
        "crosswalk": [],
    }


def from_2_to_3(record: Json) -> Json:
    """Version 3 binds a record to the registry's entry of the version and to the content of its suite: an older one has neither.

    A gate takes it for inconclusive.
    """
    return record | {
        "schema_version": "3",
        "model": record["model"] | {"registered": None},
        "quality": record["quality"] | {"suite_digest": None},
    }


def _with_settings_of_then(record: Json) -> Json:
    """Settings that no longer exist are left out; the limits that they set stand among the report's thresholds.

    What was not tested before there was a setting for it is not said to have been.
    """
    config = dict(record.get("config", {}))
    for section, names in _RETIRED.items():
        if isinstance(config.get(section), dict):
            config[section] = {name: value for name, value in config[section].items() if name not in names}
    if isinstance(config.get("probe"), dict):
        config["probe"] = {"transformations": [], "across_versions": "none"} | config["probe"]
    return record | {"config": config} if config else record


#: By section of the configuration; `min_shift`, in logits, became `min_effect`, a share of the reference's median margin.
_RETIRED = {"probe": {"min_shift"}}

_STEPS: dict[str, Callable[[Json], Json]] = {"1": from_1_to_2, "2": from_2_to_3}

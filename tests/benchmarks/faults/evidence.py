"""What must hold after every fault, read from the registry, the artifact store and the disk."""

from __future__ import annotations

import io
import json
from collections import Counter
from typing import Any, NamedTuple
from urllib.parse import urlencode
from urllib.request import urlopen

import pyarrow.parquet as pq

from tests.benchmarks.faults.versions import Version


class Judgement(NamedTuple):
    """What is wrong with one version: empty lists are the goal."""

    lost: list[str]
    published_twice: list[str]
    without_verdict: list[str]


def is_settled(client: Any, version: Version) -> bool:
    """Whether the trigger regards it as finished."""
    return client.get_model_version(version.model, version.number).tags.get("calig.state") in {"done", "gave_up"}


def judge(client: Any, version: Version) -> Judgement:
    """One explanation, published once, complete, with a verdict of its own (giving up is none)."""
    tags = client.get_model_version(version.model, version.number).tags
    found = _runs(client, version)
    complete = [run for run in found if run.info.status == "FINISHED" and run.data.tags.get("calig.published") == "true"]
    judged = tags.get("calig.state") == "done" and tags.get("calig.verdict") in {"pass", "fail", "inconclusive"}
    return Judgement(
        lost=_missing(client, version, complete[0].info.run_id) if complete else [f"{version.uri}: no published run"],
        published_twice=[] if len(found) <= 1 else [f"{version.uri}: {len(found)} runs, {len(complete)} of them complete"],
        without_verdict=[] if judged else [f"{version.uri}: {_of_ours(tags)}"],
    )


def attempts(client: Any, version: Version) -> int:
    """Flow runs that the trigger has started for the version."""
    return int(client.get_model_version(version.model, version.number).tags.get("calig.attempts", "0"))


def _runs(client: Any, version: Version) -> list[Any]:
    """All runs of the version's explanation, begun or complete; a second one would be a second publication."""
    experiment = client.get_experiment_by_name(f"calig/{version.model}")
    if experiment is None:
        return []
    found = client.search_runs([experiment.experiment_id], filter_string=f"tags.`calig.version` = '{version.number}'")
    return list(found)


def _missing(client: Any, version: Version, run_id: str) -> list[str]:
    """Files that the published run lacks, and rows that its tables lack."""
    files = {item.path for item in client.list_artifacts(run_id, "calig")}
    lacking = [name for name in ("report.html", "record.json", "config.yaml") if f"calig/{name}" not in files]
    if lacking:
        return [f"{version.uri}: no {name}" for name in lacking]
    record = json.loads(artifact(client, run_id, "calig/record.json"))
    tables = [item.path for item in client.list_artifacts(run_id, "calig/attributions")]
    rows = Counter(row for path in tables for row in _rows(client, run_id, path))
    wrong = [] if rows == Counter(range(version.n_rows)) else [f"{version.uri}: {sum(rows.values())} of {version.n_rows} rows"]
    counted = record["data"]["n_explained"] + record["data"]["n_skipped"]
    return wrong if counted == version.n_rows else [*wrong, f"{version.uri}: the record counts {counted} rows"]


def _rows(client: Any, run_id: str, path: str) -> list[int]:
    content = io.BytesIO(artifact(client, run_id, path))
    return list(pq.read_table(content, columns=["row"]).column("row").to_pylist())


def artifact(client: Any, run_id: str, path: str) -> bytes:
    """A run's file, by the tracking server's own address for it."""
    query = urlencode({"run_id": run_id, "path": path})
    with urlopen(f"{client.tracking_uri}/get-artifact?{query}", timeout=30) as answer:  # noqa: S310
        return bytes(answer.read())


def _of_ours(tags: dict[str, str]) -> str:
    return ", ".join(f"{key}={value[:120]}" for key, value in sorted(tags.items()) if key.startswith("calig.")) or "no tags"

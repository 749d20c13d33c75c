"""Several servers' logs become one story in the order of time."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.cluster import timeline_of

WORKER = """\
2026-01-02T03:04:05.500+00:00 03:04:05.498 | INFO    | prefect.flow_runs.worker - Worker 'w' submitting flow run 'x'
2026-01-02T03:04:07.000+00:00 \x1b[32mFlow run 'x'\x1b[0m - Finished in state Completed()
a line without a stamp about a run 'y'
"""
MLFLOW = """\
2026-01-02T03:04:05.250+00:00 INFO: 127.0.0.1:1 - "POST /api/2.0/mlflow/model-versions/create HTTP/1.1" 200 OK
2026-01-02T03:04:05.300+00:00 INFO: 127.0.0.1:1 - "GET /health HTTP/1.1" 200 OK
2026-01-02T03:04:05.400+00:00 INFO: 127.0.0.1:1 - "GET /api/2.0/mlflow/registered-models/get?name=m HTTP/1.1" 200 OK
"""


def logs(folder: Path) -> list[Path]:
    for name, text in (("worker", WORKER), ("mlflow", MLFLOW)):
        (folder / f"{name}.log").write_text(text, encoding="utf-8")
    return sorted(folder.glob("*.log"))


def test_lines_of_use_in_the_order_of_time(tmp_path: Path) -> None:
    assert timeline_of(logs(tmp_path)).splitlines() == [
        "2026-01-02 03:04:05 UTC",
        '    0.00 s  mlflow  INFO: 127.0.0.1:1 - "POST /api/2.0/mlflow/model-versions/create HTTP/1.1" 200 OK',
        "    0.25 s  worker  INFO    | prefect.flow_runs.worker - Worker 'w' submitting flow run 'x'",
        "    1.75 s  worker  Flow run 'x' - Finished in state Completed()",
    ]


def test_what_is_shown_can_be_chosen(tmp_path: Path) -> None:
    assert timeline_of(logs(tmp_path), re.compile("health")).count("\n") == 1
    assert timeline_of(logs(tmp_path), re.compile("nothing like it")) == ""

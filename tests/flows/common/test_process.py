"""`calig explain` in a terminal: Ctrl-C, SIGTERM and SIGKILL in the middle; what is finished stays, nothing is left running."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.tiny_models import WORDS, save_tiny_bert

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
N_ROWS = 6000


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    rng = random.Random(0)  # noqa: S311 - reproducible, not secret
    rows = [{"id": str(i), "text": " ".join(rng.choices(WORDS, k=9)), "label": rng.choice(["NEG", "POS"])} for i in range(N_ROWS)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "settings.yaml").write_text("attribution: {shard_rows: 16}\nprobe: {enabled: false}\n", encoding="utf-8")
    model, data, settings = save_tiny_bert(tmp_path / "bert"), tmp_path / "rows.jsonl", tmp_path / "settings.yaml"
    options = ["--dataset", str(data), "--config", str(settings), "--output", str(tmp_path / "runs")]
    return [sys.executable, "-m", "flows.cli", "explain", str(model), *options]


def servers_of(pid: int) -> list[str]:
    """Local Prefect servers that were started by the process `pid`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if "flows.common.prefect_server_process" in words and words[-2] == str(pid):
            found.append(entry.name)
    return found


def shards(folder: Path) -> list[Path]:
    return list(folder.glob("runs/.cache/attributions/*/*.parquet"))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)], ids=str
)
def test_an_interrupted_explanation_ends_within_seconds(command, tmp_path, number, code):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(
            command, cwd=tmp_path, env={**environment, "PYTHONPATH": str(ROOT)}, stdout=said, stderr=said, start_new_session=True
        )
    until = time.monotonic() + 240
    while len(shards(tmp_path)) < 2:
        assert process.poll() is None, (tmp_path / "said").read_text()
        assert time.monotonic() < until
        time.sleep(0.2)
    assert servers_of(process.pid)
    began = time.monotonic()
    os.killpg(process.pid, number)  # as the terminal does
    assert process.wait(30) == code, (tmp_path / "said").read_text()
    assert time.monotonic() - began < 20, "seconds, not the minute that its threads would take"
    text = (tmp_path / "said").read_text()
    if number is not signal.SIGKILL:
        assert text.count("finished shards are kept") == 1, text
    assert not re.search(r"Traceback|ConnectError|error:", text), text
    until = time.monotonic() + 5
    while servers_of(process.pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert servers_of(process.pid) == []
    assert len(shards(tmp_path)) >= 2

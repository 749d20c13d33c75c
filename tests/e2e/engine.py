"""The container engine of this machine, for tests of images and manifests.

CALIG_TEST_PODMAN says how containers are started: `podman`, perhaps with --root, --runtime; without it such tests are skipped.
The image is CALIG_TEST_IMAGE. CALIG_TEST_BUILD, when it is set, builds it first, with `--file deploy/Dockerfile --tag IMAGE .`:
`buildah build --format docker --isolation chroot --build-arg BASE=… --build-arg TORCH_INDEX=… --secret id=pip.conf,src=…`.
Where systemd does not run: `env DISABLE_HC_SYSTEMD=true podman …`.
"""

from __future__ import annotations

import json
import os
import random
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from mlflow import MlflowClient

from tests.helpers.tiny_models import WORDS

ROOT = Path(__file__).parents[2]
PODMAN = shlex.split(os.environ.get("CALIG_TEST_PODMAN", ""))
IMAGE = os.environ.get("CALIG_TEST_IMAGE", "localhost/calig:test")
_BUILD = shlex.split(os.environ.get("CALIG_TEST_BUILD", ""))
LIMIT_S = 600.0
NEEDS_PODMAN = [
    pytest.mark.slow,
    pytest.mark.skipif(not PODMAN, reason="CALIG_TEST_PODMAN does not say how containers are started"),
]


def build_image() -> None:
    """Build the CPU image from this checkout when a command for it is named."""
    if _BUILD:
        subprocess.run([*_BUILD, "--file", "deploy/Dockerfile", "--tag", IMAGE, "."], cwd=ROOT, check=True, timeout=3600)


def said(command: list[str]) -> str:
    """What a command printed, whether it went well or not."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    return done.stdout + done.stderr


def write_rows(file: Path) -> None:
    """A validation set of the tiny models' words."""
    rng = random.Random(0)  # noqa: S311 - reproducible, not secret
    rows = [{"text": " ".join(rng.choices(WORDS, k=6)), "label": rng.choice(["NEG", "POS"])} for _ in range(20)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def wait_for(url: str, logs: Callable[[], str]) -> None:
    """Until it answers; `logs` say why it does not."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=5) as answer:  # noqa: S310 - our own address
                if answer.status == 200:
                    return
        except (URLError, OSError):
            time.sleep(1)
    pytest.fail(f"{url} does not answer\n{logs()}")


def verdict_of(client: MlflowClient, logs: Callable[[], str]) -> dict[str, str]:
    """Tags of version 1 of the model `reviews`, once it was explained."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        tags = dict(client.get_model_version("reviews", "1").tags)
        if tags.get("calig.state") in {"done", "gave_up"}:
            assert tags["calig.state"] == "done", f"{tags}\n{logs()}"
            return tags
        time.sleep(2)
    pytest.fail(f"no verdict\n{logs()}")

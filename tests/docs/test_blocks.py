"""Every code block of documentation and README runs, in a folder with a tiny model; the few that do not say why."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from prefect.settings import PREFECT_API_URL

from components import registry
from tests.helpers.prefect_backend import prefect_backend
from tests.helpers.tiny_models import WORDS, save_tiny_bert
from tests.helpers.tracking import connected

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "deploy" / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"(?:<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>python|console|bash)\n(?P<code>.*?)^```$", re.M | re.S)
MOST_NOT_RUN = 2


class Block(NamedTuple):
    page: str
    language: str
    code: str
    mark: str

    @property
    def skipped(self) -> bool:
        return self.mark.startswith("not run: ")

    @property
    def exits(self) -> set[int]:
        return {int(code) for code in self.mark.removeprefix("exit: ").split()} if self.mark.startswith("exit: ") else {0}


def blocks(page: Path) -> list[Block]:
    name = str(page.relative_to(ROOT))
    return [Block(name, m["language"], m["code"], m["mark"] or "") for m in _BLOCK.finditer(page.read_text(encoding="utf-8"))]


ALL = [block for page in PAGES for block in blocks(page)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages speak of: a model folder, data sets, a suite and settings, and two registered versions."""
    folder = tmp_path_factory.mktemp("reader")
    save_tiny_bert(folder / "my-classifier")
    rng = random.Random(0)  # noqa: S311 - reproducible, not secret
    for name in ("validation", "last-week"):
        texts = (" ".join(rng.choices(WORDS, k=rng.randint(4, 9))) for _ in range(40))
        rows = [{"text": text, "label": rng.choice(["NEG", "POS"])} for text in texts]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for yaml in _yaml_of(ROOT / "deploy" / "docs" / "how-to" / "own-suite.md"):
        (folder / ("mine.yaml" if yaml.startswith("name: mine") else "mine-settings.yaml")).write_text(yaml, encoding="utf-8")
    for seed in (0, 1):
        model = save_tiny_bert(folder / f"seed-{seed}", seed=seed)
        with connected(_store(folder)):
            registry.register(model, name="reviews", experiment="training", tags={}, metrics={})
    return folder


def _store(folder: Path) -> str:
    return f"sqlite:///{folder}/mlflow.db"


def _yaml_of(page: Path) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture(scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Prefect server for all commands: each would start its own, in more seconds than it works."""
    with prefect_backend(tmp_path_factory.mktemp("prefect")), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", PREFECT_API_URL.value())
        yield


def _environment(folder: Path) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "MLFLOW_TRACKING_URI": _store(folder),
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
    }


def test_few_blocks_are_left_out_and_each_says_why():
    assert len(ALL) >= 10
    left_out = [block for block in ALL if block.skipped]
    assert len(left_out) <= MOST_NOT_RUN
    assert all(len(block.mark) > len("not run: ") for block in left_out)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(b.language == "python" for b in blocks(page))], ids=lambda p: p.stem
)
def test_python_blocks_run_from_top_to_bottom(page: Path, folder: Path):
    code = "\n".join(block.code for block in blocks(page) if block.language == "python" and not block.skipped)
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=_environment(folder), check=True, timeout=300)


@pytest.mark.slow
@pytest.mark.usefixtures("_server")
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(b.language != "python" for b in blocks(page))], ids=lambda p: p.stem
)
def test_commands_run(page: Path, folder: Path):
    """In the order of the page; what a command needs from the tutorial is done by then."""
    if page.stem in {"ci-gate", "monitoring"}:
        _run("explain models:/reviews/1 --dataset validation.jsonl --limit 20", folder, {0, 1, 3})
    for block in blocks(page):
        for line in block.code.splitlines():
            if line.startswith("$ calig ") and not block.skipped:
                _run(line.removeprefix("$ calig "), folder, block.exits)


def _run(arguments: str, folder: Path, exits: set[int]) -> None:
    command = [sys.executable, "-m", "flows.cli", *arguments.split()]
    done = subprocess.run(command, cwd=folder, env=_environment(folder), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in exits, f"{arguments}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"

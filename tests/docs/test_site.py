"""The documentation site builds strictly and loads nothing from elsewhere; the notebook runs from top to bottom."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.tiny_models import save_tiny_bert

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-f", "deploy/mkdocs.yml", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_reference_and_operations_are_there(site: Path):
    reference = (site / "reference.html").read_text(encoding="utf-8")
    assert 'id="calig.api.explain"' in reference
    assert "positive supports" in reference
    for page in ("operations", "scaling"):  # included from beside the files they speak of
        included = (ROOT / "deploy" / f"{page}.md").read_text(encoding="utf-8")
        assert len((site / f"{page}.html").read_text(encoding="utf-8")) > len(included) + 10_000


def test_pages_load_nothing_from_elsewhere(site: Path):
    loaded = re.compile(
        r"<(?:script|img|iframe)[^>]*src=\"(?:https?:)?//|<link[^>]*rel=\"(?:stylesheet|preconnect)\"[^>]*href=\"(?:https?:)?//"
    )
    assert [str(page.relative_to(site)) for page in site.rglob("*.html") if loaded.search(page.read_text(encoding="utf-8"))] == []


def test_the_notebook_runs(tmp_path: Path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    save_tiny_bert(tmp_path / "my-classifier")
    notebook = nbformat.read(ROOT / "deploy" / "docs" / "tutorial.ipynb", as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute(env=os.environ | {"PYTHONPATH": str(ROOT)})
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum('class="calig"' in output.get("data", {}).get("text/html", "") for output in shown) == 2
    assert sum("image/png" in output.get("data", {}) for output in shown) == 2

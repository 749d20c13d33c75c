"""The wheel, built from the sdist and installed outside the repository, beside a folder whose packages have the names of ours.

The environment is empty but for the wheel. A .pth file lends it the libraries that are installed here: installing them takes
minutes. Nothing of the repository is lent: an editable installation is a .pth file of its own there, and those are not followed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("calig", "components", "flows", "schemas")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Installed(NamedTuple):
    """An environment with the wheel in it, and the folder to work in."""

    environment: Path
    folder: Path

    def start(self, program: str, *arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.Popen[str]:
        """Start a program of the environment, with nothing of the repository on its path."""
        return subprocess.Popen(
            [self.environment / "bin" / program, *arguments],
            cwd=cwd or self.folder,
            env={**bare_environment(), **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, program: str, *arguments: str, code: int = 0, cwd: Path | None = None, **variables: str) -> str:
        """Its output, once it has ended with `code`."""
        process = self.start(program, *arguments, cwd=cwd, **variables)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == code, output
        return output


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "calig"
    for name in (*PACKAGES, "deploy"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return build("sdist", folder)


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return build("wheel", next(folder.iterdir()))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    base = tmp_path_factory.mktemp("elsewhere")
    environment, folder = base / "environment", base / "work"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        environment / "bin" / "python",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*pip, wheel], check=True, env={**os.environ, "PYTHONPATH": ""})
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "lent.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    for name in ("components", "flows", "schemas"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise RuntimeError('the package of the folder')\n", encoding="utf-8")
    return Installed(environment, folder)


@pytest.fixture(scope="module")
def server(installed: Installed) -> Iterator[str]:
    """A Prefect server for the deployments; its address."""
    code = (
        "import sys, pathlib; from flows.common.prefect_server import *\n"
        "with prefect_api(pathlib.Path('server')) as s: await_server(s); print(s.api_url, flush=True); sys.stdin.read()"
    )
    process = installed.start("python", "-P", "-W", "ignore", "-c", code, cwd=installed.environment)
    assert process.stdout is not None
    with process:
        address = process.stdout.readline().strip()
        assert address.startswith("http"), process.communicate(timeout=60)[0]
        yield address
        process.communicate(timeout=60)  # it ends when its standard input does


def bare_environment() -> dict[str, str]:
    """The variables of this process without those that lead to the repository or to servers."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PREFECT", "CALIG", "MLFLOW"))}


def build(kind: str, folder: Path) -> Path:
    """Build an sdist or a wheel of the sources in `folder`, which it is written beside."""
    code = f"import sys; from setuptools import build_meta; print(build_meta.build_{kind}(sys.argv[1]))"
    command = [sys.executable, "-W", "ignore", "-c", code, folder.parent]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": ""})
    return folder.parent / done.stdout.splitlines()[-1]


def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    files = (file.relative_to(ROOT) for name in PACKAGES for file in (ROOT / name).rglob("*") if file.is_file())
    wanted = {file.as_posix() for file in files if "__pycache__" not in file.parts}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert archive.read("flows/prefect.yaml") == (ROOT / "deploy" / "prefect.yaml").read_bytes()
    assert packed == wanted


def test_library_and_command_run(installed: Installed) -> None:
    place = installed.run("python", "-c", "import calig.api; print(calig.__file__)")
    assert Path(place.strip()).is_relative_to(installed.environment)
    assert "reconcile" in installed.run("calig", "--help")
    assert "falsification_rows" in installed.run("calig", "config", "show")


def test_a_folder_that_python_finds_first_is_named(installed: Installed) -> None:
    said = installed.run("calig", "--help", code=2, PYTHONPATH=str(installed.folder))
    assert f"error: {installed.folder / 'components'} hides calig's package of that name.\nnext: " in said


def test_mlflow_finds_the_evaluator(installed: Installed) -> None:
    code = "import mlflow; print('calig' in mlflow.models.list_evaluators())"
    assert installed.run("python", "-P", "-W", "ignore", "-c", code).endswith("True\n")
    assert "hides calig's package" in installed.run("python", "-c", code)


def test_deployments_are_made_and_a_run_finds_its_flow(installed: Installed, server: str, tmp_path: Path) -> None:
    said = installed.run("calig", "setup", code=2, PREFECT_API_URL=server)
    assert f"{installed.folder / 'components'} hides" in said
    assert "CALIG_HOME" in said
    variables = {"PREFECT_API_URL": server, "CALIG_HOME": str(tmp_path)}
    assert "deployments: explain-release, reconcile, attribute-shards" in installed.run("calig", "setup", **variables)
    asked = "parameters=dict(model='models:/m/1', dataset='no.jsonl'), timeout=0"
    code = f"from prefect.deployments import run_deployment\nprint(run_deployment('explain-release/explain-release', {asked}).id)"
    python = ("python", "-P", "-W", "ignore")
    run = installed.run(*python, "-c", code, **variables).split()[-1]
    log = installed.run(*python, "-m", "prefect", "flow-run", "execute", run, cwd=tmp_path, **variables)
    assert "for flow 'explain-release'" in log
    assert "No tracking server is named" in log


def test_the_demo_starts(installed: Installed) -> None:
    process = installed.start("calig", "demo", "--folder", "demo")
    begun = installed.folder / "demo" / "validation.jsonl"  # the first thing that the story writes, once its server answers
    until = time.monotonic() + 300
    while not begun.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert begun.exists(), output
    assert process.returncode == 130, output

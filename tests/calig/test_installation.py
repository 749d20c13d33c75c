"""The library alone: what it imports is what it is installed with, and nothing that hides its packages goes unnoticed."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from calig.installation import HOME, InstallationError, check_folder, check_packages
from components.common.errors import InputError, from_missing, require_free_of_intruders

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: Distributions whose module has another name.
MODULES = {"pillow": "PIL"}
#: What a library user does not have.
BLOCKED = (
    "mlflow",
    "prefect",
    "great_expectations",
    "onnxruntime",
    "pydantic",
    "pandas",
    "scipy",
    "datasets",
    "rich",
)
ALONE = f"""
from importlib.machinery import PathFinder
real = PathFinder.find_spec
found = lambda name, *a, **b: None if name.partition(".")[0] in {BLOCKED!r} else real(name, *a, **b)
PathFinder.find_spec = staticmethod(found)
"""


def python(code: str, cwd: Path, *path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*path, ROOT))), "PYTHONWARNINGS": "error::ImportWarning"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def imported(file: Path) -> set[str]:
    """Top-level names of the modules that a file imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}
    return {name.partition(".")[0] for name in names}


def modules(requirements: list[str]) -> set[str]:
    names = [match[0] for match in map(re.compile(r"[\w-]+").match, requirements) if match is not None]
    return {MODULES.get(name, name.replace("-", "_")) for name in names}


def test_each_import_of_the_library_is_a_dependency_of_the_core():
    libraries = {name for file in (ROOT / "calig").rglob("*.py") for name in imported(file)} - set(sys.stdlib_module_names)
    optional = modules([*PROJECT["optional-dependencies"]["notebook"], *PROJECT["optional-dependencies"]["peft"]])
    used_by_transformers = {"accelerate"}
    assert libraries - {"calig"} - optional | used_by_transformers == modules(PROJECT["dependencies"])


@pytest.mark.slow
def test_the_library_explains_without_the_pipeline(tmp_path: Path):
    from tests.helpers.tiny_models import save_tiny_bert

    folder = save_tiny_bert(tmp_path / "bert")
    code = f"{ALONE}\nfrom calig import explain, load_model\nprint(len(explain(*load_model({str(folder)!r}), ['a dull film'])))"
    done = python(code, tmp_path)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["demo"]])
def test_the_command_without_the_pipeline_says_what_to_install(tmp_path: Path, arguments: list[str]):
    done = python(f"{ALONE}\nfrom flows.cli.entry import main\nmain({arguments!r})", tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.endswith("next: pip install 'calig[pipeline]'\n"), done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_module_of_an_installed_library_is_no_missing_library():
    torn = ModuleNotFoundError("No module named 'numpy.nothing'", name="numpy.nothing")
    assert from_missing(torn) is torn
    assert isinstance(from_missing(ModuleNotFoundError("no", name="nosuch.part")), InputError)


@pytest.mark.parametrize("name", ["components", "flows", "schemas"])
def test_a_folder_that_hides_a_package_is_named(tmp_path: Path, name: str):
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    for start in ("import calig.installation as i; i.start_command_line()", "from calig.installation import CaligEvaluator"):
        done = python(start, tmp_path, tmp_path)
        assert done.returncode, done.stdout
        assert f"{tmp_path / name} hides calig's package of that name.\nnext: " in done.stderr
    with pytest.raises(InstallationError, match=name):
        check_folder(tmp_path)
    with pytest.raises(InputError, match=r"(?s)hides.*CALIG_HOME"):
        require_free_of_intruders(tmp_path)


def test_a_folder_without_a_package_in_it_hides_nothing(tmp_path: Path):
    (tmp_path / "flows").mkdir()
    assert python("import calig.installation as i; i.check_packages()", tmp_path, tmp_path).returncode == 0
    check_folder(tmp_path)
    check_folder(HOME)
    check_packages()

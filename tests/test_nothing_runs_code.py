"""No loader in our sources may run what it loads: unpickling, code of a model, loose YAML, shells and archives are forbidden."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("calig", "components", "flows", "schemas", "deploy")

#: Modules that unpickle, or run what they are given.
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "tarfile", "runpy", "code"}
#: Functions that do so whatever their arguments are, by the end of their dotted name.
CALLS = (
    *("os.system", "os.popen", "pandas.read_pickle", "pd.read_pickle", "yaml.load", "yaml.load_all"),
    *("yaml.unsafe_load", "yaml.full_load", "torch.load", "torch.hub.load", "torch.jit.load", "extractall", "unpack_archive"),
    *("pyfunc.load_model", "pytorch.load_model", "sklearn.load_model", "transformers.load_model", "mlflow.load_model"),
)
#: Builtins that do so; methods of these names are others.
BUILTINS = {"eval", "exec", "compile"}
#: Where a module is imported by a name, and why that is no name from an artifact.
IMPORTS_BY_NAME = {
    "calig/__init__.py": "the engine's own names",
    "components/drift/statistics/registry.py": "the modules of its own folder",
    "components/quality/suite/own.py": "expectations that the operator's suite names; documented as running their code",
    "components/registry/models/register.py": "transformers itself",
    "components/report/sections/__init__.py": "the modules of its own folder",
    "deploy/trial.py": "the modules of the installation that it tries, while an image is built",
}
#: Where transformers opens a folder.
OPENS_MODELS = {"calig/loading.py"}
#: Its own models, trained a moment ago from nothing.
TRAINS_MODELS = {"components/demo/training.py"}


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def faults(tree: ast.AST, name: str) -> Iterator[str]:
    for node in ast.walk(tree):
        yield from (f"line {getattr(node, 'lineno', 0)}: {fault}" for fault in _faults(node, name))


def _faults(node: ast.AST, name: str) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from (f"imports {m}" for m in _modules(node) if m.partition(".")[0] in MODULES)
    if isinstance(node, ast.Attribute) and node.attr == "from_pretrained" and name not in OPENS_MODELS | TRAINS_MODELS:
        yield "opens a model"
    if isinstance(node, ast.Dict):
        keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
        yield from (
            "trusts code of a model"
            for key, value in zip(keys, node.values, strict=False)
            if key == "trust_remote_code" and not _is(value, False)
        )
    if isinstance(node, ast.Call):
        yield from _faulty_call(node, name)


def _faulty_call(node: ast.Call, name: str) -> Iterator[str]:
    called, keywords = ast.unparse(node.func), {keyword.arg: keyword.value for keyword in node.keywords}
    if called in BUILTINS or any(called == call or called.endswith(f".{call}") for call in CALLS):
        yield f"calls {called}"
    if called.endswith(("np.load", "numpy.load")) and not _is(keywords.get("allow_pickle"), False):
        yield "np.load without allow_pickle=False"
    if "shell" in keywords and not _is(keywords["shell"], False):
        yield "starts a shell"
    if "trust_remote_code" in keywords and not _is(keywords["trust_remote_code"], False):
        yield "trusts code of a model"
    if called.endswith(("import_module", "__import__")) and name not in IMPORTS_BY_NAME:
        yield "imports by a name"
    if called.endswith(".from_pretrained") and name in OPENS_MODELS and None not in keywords:
        yield from (f"from_pretrained without {k}" for k in ("trust_remote_code", "local_files_only") if k not in keywords)


def _modules(node: ast.Import | ast.ImportFrom) -> list[str]:
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]


def _is(node: ast.AST | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def test_our_sources_run_nothing_they_load():
    assert len(sources()) > 200
    found = {}
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        found[name] = list(faults(ast.parse(path.read_text(encoding="utf-8")), name))
    assert {name: fault for name, fault in found.items() if fault} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load('x')",
        "np.load('x')",
        "np.load('x', allow_pickle=True)",
        "yaml.load(text)",
        "eval('1')",
        "mlflow.pyfunc.load_model('x')",
        "AutoModel.from_pretrained('x')",
        "kwargs = {'trust_remote_code': True}",
        "load(trust_remote_code=flag)",
        "subprocess.run('x', shell=True)",
        "archive.extractall()",
        "importlib.import_module(name)",
    ],
)
def test_the_search_finds_each(source):
    assert list(faults(ast.parse(source), "components/elsewhere.py"))


def test_a_model_is_opened_with_every_guard():
    bare = ast.parse("AutoTokenizer.from_pretrained(folder)")
    assert len(list(faults(bare, "calig/loading.py"))) == 2
    from calig.loading import _SAFE

    assert _SAFE == {"local_files_only": True, "trust_remote_code": False}

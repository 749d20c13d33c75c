"""Models made to run code or to reach out of their folder: each is refused or read without harm, and nothing of it runs."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest

from calig import load_model
from components import registry
from components.common.errors import InputError
from components.registry.models.artifacts import read_version_artifacts
from components.registry.models.download import refuse_links
from schemas.release import ModelSnapshot
from tests.conftest import TinyRegistry
from tests.helpers.tiny_models import save_tiny_bert


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that exists when something ran; nothing may have when the test ends."""
    return tmp_path / "it-ran"


@pytest.fixture(autouse=True)
def _nothing_ran(canary: Path):
    yield
    assert not canary.exists()


class _Bomb:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (str(self.canary),)


def fetch(uri: str, tmp_path: Path) -> ModelSnapshot:
    return registry.fetch(registry.parse_model_ref(uri), workspace=tmp_path / "cache")


def edit_config(folder: Path, **changes: object) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")
    return folder


def with_code(folder: Path, canary: Path) -> Path:
    (folder / "evil.py").write_text(f"import os\nos.mkdir({str(canary)!r})\nclass Evil: ...\n", encoding="utf-8")
    names = ("AutoConfig", "AutoModel", "AutoModelForSequenceClassification", "AutoTokenizer")
    tokenizer = folder / "tokenizer_config.json"
    stated = json.loads(tokenizer.read_text(encoding="utf-8"))
    tokenizer.write_text(json.dumps(stated | {"auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}), encoding="utf-8")
    return edit_config(folder, auto_map=dict.fromkeys(names, "evil.Evil"))


def test_the_bomb_works(tmp_path):
    pickle.loads(pickle.dumps(_Bomb(tmp_path / "other")))  # noqa: S301 - that is the point
    assert (tmp_path / "other").exists()


def test_code_beside_a_known_model_is_ignored(tmp_path, canary):
    folder = with_code(save_tiny_bert(tmp_path / "bert"), canary)
    snapshot = fetch(str(folder), tmp_path)
    model, _ = load_model(snapshot.model_path, snapshot.processor_path)
    assert type(model).__name__ == "BertForSequenceClassification"


def test_a_model_that_is_nothing_but_its_code_is_refused(tmp_path, canary):
    folder = edit_config(with_code(save_tiny_bert(tmp_path / "bert"), canary), model_type="evil")
    with pytest.raises(InputError, match="code of its own"):
        fetch(str(folder), tmp_path)


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_kernels_from_the_hub_are_refused(tmp_path, key):
    folder = edit_config(save_tiny_bert(tmp_path / "bert"), **{key: "someone/kernels"})
    with pytest.raises(InputError, match="kernels from elsewhere"):
        fetch(str(folder), tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pkl", "last.ckpt"])
def test_pickled_weights_are_refused(tmp_path, canary, name):
    folder = save_tiny_bert(tmp_path / "bert")
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(_Bomb(canary)))
    with pytest.raises(InputError, match="unpickling can run any code"):
        fetch(str(folder), tmp_path)


def test_pickles_beside_safetensors_stay_closed(tmp_path, canary):
    folder = save_tiny_bert(tmp_path / "bert")
    for name in ("pytorch_model.bin", "training_args.bin", "vocab.pkl"):
        (folder / name).write_bytes(pickle.dumps(_Bomb(canary)))
    snapshot = fetch(str(folder), tmp_path)
    load_model(snapshot.model_path, snapshot.processor_path)


def register_files(tiny: TinyRegistry, folder: Path, name: str) -> str:
    """Register a folder as it is, as anyone with access to the registry can."""
    import mlflow

    client = mlflow.MlflowClient()
    client.create_registered_model(name)
    return f"models:/{name}/{client.create_model_version(name, folder.as_uri()).version}"


def test_a_pyfunc_with_a_pickle_is_refused_unopened(tiny_registry, tmp_path, canary):
    folder = tmp_path / "pyfunc"
    folder.mkdir()
    (folder / "python_model.pkl").write_bytes(pickle.dumps(_Bomb(canary)))
    (folder / "MLmodel").write_text(
        "flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n    python_model: python_model.pkl\n",
        encoding="utf-8",
    )
    uri = register_files(tiny_registry, folder, f"pyfunc-{tmp_path.name}")
    with pytest.raises(InputError, match="not a transformers model"):
        fetch(uri, tmp_path)


def test_yaml_in_mlmodel_makes_no_objects(tiny_registry, tmp_path, canary):
    folder = tmp_path / "yaml"
    folder.mkdir()
    (folder / "MLmodel").write_text(f"flavors: !!python/object/apply:os.mkdir ['{canary}']\n", encoding="utf-8")
    uri = register_files(tiny_registry, folder, f"yaml-{tmp_path.name}")
    with pytest.raises(InputError, match="no readable MLmodel"):
        fetch(uri, tmp_path)


@pytest.mark.parametrize("place", ["../outside", "/etc", "model/../../outside", "link"])
def test_paths_out_of_the_artifact_are_refused(tmp_path, place):
    save_tiny_bert(tmp_path / "outside")
    folder = tmp_path / "got"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / "MLmodel").write_text(f"flavors:\n  transformers:\n    model_binary: {place}\n", encoding="utf-8")
    with pytest.raises(InputError, match="model folder is missing"):
        read_version_artifacts(folder, "models:/m/1")


def test_shards_out_of_the_folder_are_refused(tmp_path):
    folder = save_tiny_bert(tmp_path / "bert")
    shutil.move(folder / "model.safetensors", tmp_path / "outside.safetensors")
    index = {"metadata": {}, "weight_map": {"classifier.weight": "../outside.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(InputError, match="shards named in the index are missing"):
        fetch(str(folder), tmp_path)


def test_links_in_a_download_are_refused(tmp_path):
    (tmp_path / "got" / "model").mkdir(parents=True)
    (tmp_path / "got" / "model" / "config.json").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match=r"neither file nor folder\.\ngot: models:/m/1: model/config.json"):
        refuse_links(tmp_path / "got", "models:/m/1")

"""What is downloaded of a model: the needed files alone, within a limit, and whole."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import pytest

from components import registry
from components.common.errors import InputError
from tests.conftest import TinyRegistry
from tests.helpers.fetching import fetch
from tests.helpers.tiny_models import save_tiny_bert


def _registered(tiny: TinyRegistry, folder: Path, name: str) -> str:
    client = mlflow.MlflowClient()
    client.create_registered_model(name)
    return f"models:/{name}/{client.create_model_version(name, folder.as_uri()).version}"


def _logged(folder: Path, flavour: str) -> Path:
    (folder / "MLmodel").write_text(f"flavors:\n  transformers:\n    task: text-classification\n{flavour}", encoding="utf-8")
    return folder


def test_only_needed_files_come_along(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    folder = tmp_path / "version"
    save_tiny_bert(folder / "model")
    _logged(folder, "    model_binary: model\n")
    for name in ("training.log", "model/pytorch_model.bin", "model/model.onnx", "model/modeling_own.py"):
        (folder / name).write_bytes(b"x")
    snapshot = fetch(_registered(tiny_registry, folder, "much-beside"), tmp_path / "work")
    got = {path.name for path in (tmp_path / "work").rglob("*") if path.is_file()}
    assert "model.safetensors" in got
    assert not got & {"training.log", "pytorch_model.bin", "model.onnx", "modeling_own.py"}
    assert snapshot.labels == ("NEG", "POS")


def test_a_download_beyond_the_limit_is_refused_before_it_begins(
    tiny_registry: TinyRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALIG_DOWNLOAD_GIGABYTES", "0.00001")
    with pytest.raises(InputError, match=r"(?s)larger than may be downloaded.*model\.safetensors.*CALIG_DOWNLOAD_GIGABYTES="):
        fetch(f"models:/{tiny_registry.text}/1", tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))
    monkeypatch.setenv("CALIG_DOWNLOAD_GIGABYTES", "much")
    with pytest.raises(InputError, match="is no number"):
        fetch(f"models:/{tiny_registry.text}/1", tmp_path)


def test_pickled_weights_are_refused_undownloaded(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    folder = tmp_path / "version"
    folder.mkdir()
    save_tiny_bert(folder / "model")
    (folder / "model" / "model.safetensors").rename(folder / "model" / "pytorch_model.bin")
    uri = _registered(tiny_registry, _logged(folder, "    model_binary: model\n"), "pickled")
    with pytest.raises(InputError, match="unpickling can run any code"):
        fetch(uri, tmp_path / "work")


def test_the_layout_of_mlflow_2_3(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    folder = tmp_path / "version"
    folder.mkdir()
    save_tiny_bert(folder / "pipeline")
    uri = _registered(tiny_registry, _logged(folder, "    pipeline_model_type: BertForSequenceClassification\n"), "old-layout")
    snapshot = fetch(uri, tmp_path / "work")
    assert snapshot.model_path.name == "pipeline"
    assert snapshot.processor_path == snapshot.model_path


def test_a_name_too_long_for_a_folder(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    name = "評" * 100
    version = tiny_registry.register(tiny_registry.bert, name)
    assert fetch(f"models:/{name}/{version}", tmp_path).name == name


def test_a_failed_registration_is_final(tiny_registry: TinyRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.registry.versions import lookup

    real = lookup._model_version

    def failed(*key: object) -> object:
        version = real(*key)
        version._status, version._status_message = "FAILED_REGISTRATION", "the upload broke off"
        return version

    monkeypatch.setattr(lookup, "_model_version", failed)
    with pytest.raises(InputError, match=r"(?s)registration of the version failed.*the upload broke off"):
        fetch(f"models:/{tiny_registry.text}/1", tmp_path)


def test_a_folder_with_an_lfs_pointer_is_bad_input(tmp_path: Path) -> None:
    folder = save_tiny_bert(tmp_path / "bert")
    (folder / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InputError, match="git lfs pull"):
        registry.fetch(registry.parse_model_ref(str(folder)), workspace=tmp_path)


def test_a_quantised_checkpoint_is_refused(tmp_path: Path) -> None:
    folder = save_tiny_bert(tmp_path / "bert")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(InputError, match=r"(?s)quantised.*'bitsandbytes'.*dequantise"):
        registry.fetch(registry.parse_model_ref(str(folder)), workspace=tmp_path)


@pytest.mark.parametrize("change", [{"model": {"type": "of the future"}}, {"version": "9.0"}, None])
def test_a_tokenizer_in_a_newer_format_is_bad_input(tmp_path: Path, change: dict[str, object] | None) -> None:
    folder = save_tiny_bert(tmp_path / "bert")
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    text = "{" if change is None else json.dumps(content | change)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"(?s)tokenizer cannot be read.*what tokenizers \d"):
        registry.fetch(registry.parse_model_ref(str(folder)), workspace=tmp_path)


def test_without_a_tracking_uri_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "sqlite:///mlflow.db")
    monkeypatch.setattr(mlflow, "is_tracking_uri_set", lambda: False)
    with pytest.raises(InputError, match=r"(?s)No tracking server is named.*mlflow\.db"):
        registry.fetch(registry.parse_model_ref("models:/m/1"), workspace=tmp_path / "work")
    assert not (tmp_path / "mlflow.db").exists()


def test_an_unknown_model_names_the_store(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no registered model 'gone' in sqlite:"):
        fetch("models:/gone/1", tmp_path)

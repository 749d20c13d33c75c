"""Fetching model versions from a real MLflow registry, from folders, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from components import registry
from components.common.errors import CouldNotRunError
from components.registry.models.download import MANIFEST
from schemas.base import digest_of
from schemas.release import ModelSource
from tests.conftest import TinyRegistry
from tests.helpers.fetching import fetch, refused
from tests.helpers.tiny_models import save_tiny_bert
from tests.helpers.tracking import connected


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_text_version(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    snapshot = fetch(f"models:/{tiny_registry.text}/1", tmp_path)

    assert (snapshot.name, snapshot.version, snapshot.source) == (tiny_registry.text, "1", ModelSource.REGISTRY)
    assert (snapshot.modality, snapshot.model_type, snapshot.labels) == ("text", "bert", ("NEG", "POS"))
    assert snapshot.model_path.is_relative_to(tmp_path / "models" / tiny_registry.text / "1")
    assert (snapshot.processor_path / "tokenizer.json").is_file()
    assert snapshot.model_id is not None
    assert snapshot.model_id.startswith("m-")
    assert snapshot.source_run_id is not None
    files = ("model.safetensors", "config.json")
    assert snapshot.weights_digest == digest_of({name: _sha256(snapshot.model_path / name) for name in files})


def test_the_fetched_model_is_the_registered_one(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    snapshot = fetch(f"models:/{tiny_registry.text}/1", tmp_path)
    assert _sha256(snapshot.model_path / "model.safetensors") == _sha256(tiny_registry.bert / "model.safetensors")


def test_an_image_version(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    snapshot = fetch(f"models:/{tiny_registry.image}/1", tmp_path)
    assert (snapshot.modality, snapshot.model_type, snapshot.labels) == ("image", "vit", ("CIRCLE", "SQUARE"))
    assert (snapshot.processor_path / "preprocessor_config.json").is_file()


def test_an_alias_resolves_to_its_version(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    snapshot = fetch(f"models:/{tiny_registry.text}@candidate", tmp_path)
    assert (snapshot.version, snapshot.alias, snapshot.uri) == ("2", "candidate", f"models:/{tiny_registry.text}/2")


def test_a_second_fetch_downloads_nothing(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    first = fetch(f"models:/{tiny_registry.text}/1", tmp_path)
    weights = first.model_path / "model.safetensors"
    before = weights.stat()
    assert fetch(f"models:/{tiny_registry.text}/1", tmp_path) == first
    assert (weights.stat().st_ino, weights.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("harm", ["one bit", "deleted", "a file more", "another origin", "no manifest"])
def test_cached_files_that_are_not_what_was_downloaded_are_fetched_again(
    tiny_registry: TinyRegistry, tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = fetch(f"models:/{tiny_registry.text}/1", tmp_path)
    weights, manifest = first.model_path / "model.safetensors", tmp_path / "models" / tiny_registry.text / "1" / MANIFEST
    before, times = weights.read_bytes(), weights.stat()
    if harm == "one bit":
        weights.write_bytes(before[:-5] + bytes([before[-5] ^ 4]) + before[-4:])
        os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    elif harm == "deleted":
        weights.unlink()
    elif harm == "a file more":
        (first.model_path / "adapter_config.json").write_text("{}")
    elif harm == "another origin":
        manifest.write_text(manifest.read_text().replace('"origin": "', '"origin": "0'))
    else:
        manifest.unlink()
    assert fetch(f"models:/{tiny_registry.text}/1", tmp_path) == first
    assert weights.read_bytes() == before
    assert not (first.model_path / "adapter_config.json").exists()
    said = [line for line in caplog.messages if "changed since it was downloaded" in line]
    assert len(said) == (harm in {"one bit", "deleted", "a file more"})


def test_a_snapshot_is_here_while_its_files_are_what_was_fetched(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    snapshot = fetch(f"models:/{tiny_registry.text}/1", tmp_path)
    assert registry.is_here(snapshot)
    (snapshot.model_path / "model.safetensors").write_bytes((tiny_registry.bert / "model.safetensors").read_bytes() + b" ")
    assert not registry.is_here(snapshot)
    assert not registry.is_here(snapshot.model_copy(update={"model_path": tmp_path / "gone"}))


def test_nothing_but_whole_downloads_lies_in_the_workspace(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    fetch(f"models:/{tiny_registry.text}/1", tmp_path)
    assert [path.name for path in (tmp_path / "models" / tiny_registry.text).iterdir()] == ["1"]


def test_a_version_registered_anew_under_its_old_number_is_downloaded_anew(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    import mlflow

    client = mlflow.MlflowClient()
    tiny_registry.register(tiny_registry.bert, "reborn")
    old = fetch("models:/reborn/1", tmp_path)
    client.delete_registered_model("reborn")
    tiny_registry.register(save_tiny_bert(tmp_path / "other", seed=9), "reborn")

    new = fetch("models:/reborn/1", tmp_path)
    assert new.model_path == old.model_path
    assert new.weights_digest != old.weights_digest


def test_unknown_models_versions_and_aliases_list_what_exists(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    assert "did you mean 'tiny-sentiment'?" in refused("models:/tiny-sentimnt/1", tmp_path)
    assert "allowed: 2, 1" in refused(f"models:/{tiny_registry.text}/9", tmp_path)
    assert "@candidate (version 2), @champion (version 1)" in refused(f"models:/{tiny_registry.text}@prod", tmp_path)
    assert "no aliases" in refused(f"models:/{tiny_registry.image}@prod", tmp_path)


def test_an_unknown_model_lists_those_that_exist(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    with connected(f"sqlite:///{tmp_path}/own.db"):  # the session's has as many as its tests registered
        tiny_registry.register(tiny_registry.vit, "shapes")
        tiny_registry.register(tiny_registry.vit, "colours")
        assert "a registered model: colours, shapes" in refused("models:/reviews/1", tmp_path)


def test_an_empty_registry_says_so(tmp_path: Path) -> None:
    with connected(f"sqlite:///{tmp_path}/empty.db"):
        assert "no model is registered" in refused("models:/any/1", tmp_path)


def test_an_unreachable_server_is_given_up_within_seconds(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = time.monotonic()
    address = f"http://user:secret@127.0.0.1:{port}"
    with connected(address), pytest.raises(CouldNotRunError, match="cannot be reached") as caught:
        fetch("models:/any/1", tmp_path)
    assert time.monotonic() - start < 10
    assert "secret" not in str(caught.value)


def test_a_server_that_accepts_but_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.registry.connection._CONNECT_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with connected(address), pytest.raises(CouldNotRunError, match="cannot be reached"):
            fetch("models:/any/1", tmp_path)


def test_a_tracking_database_in_a_missing_folder(tmp_path: Path) -> None:
    with connected(f"sqlite:///{tmp_path}/no/mlflow.db"):
        assert "folder of the tracking database" in refused("models:/any/1", tmp_path)


def _logged_by_hand(
    tiny: TinyRegistry, folder: Path, name: str, mlmodel: dict[str, Any], files: dict[str, str] | None = None
) -> str:
    """A version whose artifacts are written file by file, as other tools and older versions leave them."""
    import mlflow

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))
    for path, content in (files or {}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    client = mlflow.MlflowClient()
    client.create_registered_model(name)
    version = client.create_model_version(name, str(folder)).version
    return f"models:/{name}/{version}"


def test_a_version_of_another_flavour(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    uri = _logged_by_hand(tiny_registry, tmp_path / "a", "sk", {"flavors": {"sklearn": {}, "python_function": {}}})
    assert "flavours: python_function, sklearn" in refused(uri, tmp_path)


def test_a_reference_without_weights(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    flavour = {"source_model_name": "org/base", "source_model_revision": "abc123", "task": "text-classification"}
    uri = _logged_by_hand(tiny_registry, tmp_path / "a", "reference-only", {"flavors": {"transformers": flavour}})
    message = refused(uri, tmp_path)
    assert "save_pretrained=False" in message
    assert "org/base@abc123" in message
    assert f"persist_pretrained_model('{uri}')" in message


def test_an_adapter_outside_the_artifacts(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    flavour = {"peft_adaptor": "../../../..", "source_model_name": "org/base"}
    uri = _logged_by_hand(tiny_registry, tmp_path / "a", "adapter", {"flavors": {"transformers": flavour}})
    assert "model folder is missing" in refused(uri, tmp_path)


def test_a_model_binary_outside_the_artifacts(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    flavour = {"model_binary": "../../../.."}
    uri = _logged_by_hand(tiny_registry, tmp_path / "a", "escaping", {"flavors": {"transformers": flavour}})
    assert "model folder is missing" in refused(uri, tmp_path)


def test_a_version_without_tokenizer(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    model = tmp_path / "a" / "model"
    shutil.copytree(tiny_registry.bert, model, ignore=shutil.ignore_patterns("tokenizer*"))
    uri = _logged_by_hand(tiny_registry, tmp_path / "a", "no-tokenizer", {"flavors": {"transformers": {"model_binary": "model"}}})
    assert "has no tokenizer" in refused(uri, tmp_path)


def test_a_version_with_the_tokenizer_beside_the_weights(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    shutil.copytree(tiny_registry.bert, tmp_path / "a" / "model")
    uri = _logged_by_hand(tiny_registry, tmp_path / "a", "one-folder", {"flavors": {"transformers": {"model_binary": "model"}}})
    snapshot = fetch(uri, tmp_path)
    assert snapshot.processor_path == snapshot.model_path
    assert snapshot.model_id is None


@pytest.fixture
def folder(tiny_registry: TinyRegistry, tmp_path: Path) -> Path:
    """A copy of the tiny BERT, to be changed."""
    return Path(shutil.copytree(tiny_registry.bert, tmp_path / "copy"))


def _set_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def test_a_folder_is_used_where_it_lies(folder: Path, tmp_path: Path) -> None:
    snapshot = fetch(str(folder), tmp_path)
    assert snapshot.source is ModelSource.FOLDER
    assert snapshot.model_path == snapshot.processor_path == folder
    assert snapshot.version == snapshot.weights_digest[:12]
    assert not (tmp_path / "models").exists()


def test_digests_follow_the_files_they_are_about(folder: Path, tmp_path: Path) -> None:
    before = fetch(str(folder), tmp_path)
    (folder / "README.md").write_text("no part of the model")
    assert fetch(str(folder), tmp_path) == before
    (folder / "tokenizer_config.json").write_text("{}")
    other_tokenizer = fetch(str(folder), tmp_path)
    assert other_tokenizer.processor_digest != before.processor_digest
    assert other_tokenizer.weights_digest == before.weights_digest
    save_tiny_bert(folder, seed=5)
    assert fetch(str(folder), tmp_path).weights_digest != before.weights_digest


def test_labels_are_in_the_order_of_their_ids(tmp_path: Path) -> None:
    folder = save_tiny_bert(tmp_path / "eleven", labels=tuple("abcdefghijk"))
    _set_config(folder, id2label={"2": "c", "0": "a", "10": "k", **{str(i): f"l{i}" for i in (1, 3, 4, 5, 6, 7, 8, 9)}})
    assert fetch(str(folder), tmp_path).labels == ("a", "l1", "c", "l3", "l4", "l5", "l6", "l7", "l8", "l9", "k")


def test_labels_that_contradict_each_other(folder: Path, tmp_path: Path) -> None:
    """Swapped names give a wrong accuracy without a word (transformers#12822); stale names of other classes are common."""
    _set_config(folder, id2label={"0": "NEG", "1": "POS"}, label2id={"NEG": 1, "POS": 0})
    assert "NEG: 0 and 1, POS: 1 and 0" in refused(str(folder), tmp_path)
    _set_config(folder, label2id={"LABEL_0": 0, "LABEL_1": 1})
    assert fetch(str(folder), tmp_path).labels == ("NEG", "POS")


def test_labels_with_one_name_or_with_gaps(folder: Path, tmp_path: Path) -> None:
    _set_config(folder, id2label={"0": "same", "1": "same"})
    assert "same name" in refused(str(folder), tmp_path)
    _set_config(folder, id2label={"0": "a", "2": "b"})
    assert "id2label" in refused(str(folder), tmp_path)


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, "a generative model"),
        ({"architectures": ["BertForTokenClassification"]}, "not a classifier"),
        ({"architectures": None}, "not a classifier"),
        ({"architectures": ["BartForSequenceClassification"], "model_type": "bart"}, "an encoder-decoder model"),
        ({"architectures": ["T5ForConditionalGeneration"], "model_type": "t5"}, "an encoder-decoder model"),
    ],
)
def test_models_that_are_not_explained_are_named(folder: Path, tmp_path: Path, config: dict[str, Any], kind: str) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", **config}))
    message = refused(str(folder), tmp_path)
    assert kind in message
    assert "ForSequenceClassification" in message


def test_a_config_that_its_model_type_does_not_admit(folder: Path, tmp_path: Path) -> None:
    _set_config(folder, hidden_size="wide")
    assert "cannot read the model's config.json" in refused(str(folder), tmp_path)


def test_a_model_with_code_of_its_own_is_refused_without_running_it(folder: Path, tmp_path: Path) -> None:
    (folder / "own.py").write_text("raise SystemExit('ran')")
    _set_config(folder, model_type="own", auto_map={"AutoConfig": "own.OwnConfig"})
    assert "code of its own" in refused(str(folder), tmp_path)


def test_pickled_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    message = refused(str(folder), tmp_path)
    assert "pickled" in message
    assert "pytorch_model.bin" in message


def test_missing_weights(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "no weights" in refused(str(folder), tmp_path)


def test_sharded_weights(folder: Path, tmp_path: Path) -> None:
    whole = fetch(str(folder), tmp_path).weights_digest
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(
        json.dumps({"weight_map": {"a": "model-00001-of-00001.safetensors", "b": "model-00001-of-00001.safetensors"}})
    )
    assert fetch(str(folder), tmp_path).weights_digest != whole
    index.write_text(json.dumps({"weight_map": {"a": "../model.safetensors"}}))
    assert "../model.safetensors" in refused(str(folder), tmp_path)
    index.write_text("{}")
    assert "index" in refused(str(folder), tmp_path)


def test_a_folder_without_tokenizer(folder: Path, tmp_path: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert "has no tokenizer" in refused(str(folder), tmp_path)

"""Registered adapters: their base is found where MLflow, the adapter or the operator says, digested, and put beside them."""

from __future__ import annotations

import json
import logging
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
import yaml

from calig import load_model
from components import registry
from components.common.errors import InputError
from components.registry.addresses import VARIABLE
from components.registry.models.artifacts import place_logged_model
from schemas.base import digest_of
from schemas.release import ModelSource
from tests.conftest import TinyRegistry
from tests.helpers.fetching import fetch, refused
from tests.helpers.tiny_adapters import save_tiny_adapter

TEXT = "the film is not good"


@pytest.fixture
def adapter(tiny_registry: TinyRegistry, tmp_path: Path) -> Path:
    """An adapter of the tiny BERT's, by its path."""
    save_tiny_adapter(tmp_path / "adapter", tiny_registry.bert)
    return tmp_path / "adapter"


def names(adapter: Path, base: str, **changes: object) -> Path:
    """Let the adapter name `base`."""
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": base, **changes}))
    return adapter


def registered(adapter: Path, tiny: TinyRegistry, base: Path | None = None, **flavour: object) -> str:
    """A version with the adapter as MLflow lays one out, its base beside it where there is one."""
    folder = adapter.parent / "logged"
    shutil.copytree(adapter, folder / "peft")
    shutil.copytree(tiny.bert, folder / "components" / "tokenizer", ignore=shutil.ignore_patterns("model*", "config*"))
    if base is not None:
        shutil.copytree(base, folder / "model", ignore=shutil.ignore_patterns("tokenizer*"))
        flavour["model_binary"] = "model"
    flavours = {"flavors": {"transformers": {"peft_adaptor": "peft", **flavour}}}
    (folder / "MLmodel").write_text(yaml.safe_dump(flavours))
    name = f"adapter-{adapter.parent.name}"
    client = mlflow.MlflowClient()
    client.create_registered_model(name)
    return f"models:/{name}/{client.create_model_version(name, str(folder)).version}"


def logits(folder: Path, processor: Path) -> torch.Tensor:
    model, tokenizer = load_model(folder, processor, device="cpu")
    with torch.no_grad():
        answer: torch.Tensor = model(**tokenizer(TEXT, return_tensors="pt")).logits
    return answer


def test_what_mlflow_logs(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    """MLflow saves the base with the adapter's layers in it; the oracle is the model that was logged."""
    from transformers import AutoTokenizer

    logging.getLogger("mlflow.transformers").setLevel(logging.ERROR)
    model = save_tiny_adapter(tmp_path / "adapter", tiny_registry.bert)
    tokenizer = AutoTokenizer.from_pretrained(tiny_registry.bert)
    experiment = mlflow.get_experiment_by_name("training")  # what `mlflow.set_experiment` sets would outlive the test
    assert experiment is not None
    with mlflow.start_run(experiment_id=experiment.experiment_id), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's and PEFT's own
        info = mlflow.transformers.log_model(
            {"model": model, "tokenizer": tokenizer}, name="model", task="text-classification", pip_requirements=["torch"]
        )
    version = mlflow.register_model(info.model_uri, "logged-adapter")
    snapshot = fetch(f"models:/logged-adapter/{version.version}", tmp_path)

    assert (snapshot.labels, snapshot.model_type, snapshot.stored_precision) == (("NEG", "POS"), "bert", ("float32",))
    assert snapshot.adapter is not None
    assert (snapshot.adapter.kind, snapshot.adapter.base_uri) == ("LORA", "model")
    with torch.no_grad():
        expected = model(**tokenizer(TEXT, return_tensors="pt")).logits
    torch.testing.assert_close(logits(snapshot.model_path, snapshot.processor_path), expected, rtol=1e-5, atol=1e-5)
    assert registry.is_here(snapshot)
    placed = place_logged_model(info.model_uri, tmp_path / "placed")
    torch.testing.assert_close(logits(placed, placed), expected, rtol=1e-5, atol=1e-5)


def test_a_base_in_the_registry(tiny_registry: TinyRegistry, adapter: Path, tmp_path: Path) -> None:
    uri = registered(names(adapter, f"models:/{tiny_registry.text}/1"), tiny_registry)
    snapshot, base = fetch(uri, tmp_path), fetch(f"models:/{tiny_registry.text}/1", tmp_path)
    assert snapshot.adapter is not None
    assert snapshot.adapter.base_uri == f"models:/{tiny_registry.text}/1"
    assert snapshot.adapter.base_digest == base.weights_digest
    assert snapshot.weights_digest == digest_of([snapshot.adapter.digest, base.weights_digest]) != base.weights_digest
    mine = fetch(str(names(adapter, str(tiny_registry.bert))), tmp_path)
    same = (snapshot.model_path, snapshot.processor_path), (mine.model_path, mine.processor_path)
    assert torch.equal(*(logits(*places) for places in same))


def test_an_alias_of_a_base_moves(tiny_registry: TinyRegistry, adapter: Path, tmp_path: Path) -> None:
    uri = registered(names(adapter, f"models:/{tiny_registry.text}@champion"), tiny_registry)
    assert "by an alias, which moves" in refused(uri, tmp_path)


def test_a_folder_of_this_machine_has_to_be_allowed(
    tiny_registry: TinyRegistry, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = registered(adapter, tiny_registry)
    assert f"{VARIABLE}={tiny_registry.bert}" in refused(uri, tmp_path)
    monkeypatch.setenv(VARIABLE, f"{tiny_registry.bert.parent},{tmp_path}")
    snapshot = fetch(uri, tmp_path)
    assert snapshot.adapter is not None
    assert snapshot.adapter.base_uri == str(tiny_registry.bert)


def test_a_folder_among_the_versions_files(tiny_registry: TinyRegistry, adapter: Path, tmp_path: Path) -> None:
    uri = registered(names(adapter, "../first"), tiny_registry)
    shutil.copytree(tiny_registry.bert, tmp_path / "logged" / "first")
    snapshot = fetch(uri, tmp_path / "work")
    assert snapshot.adapter is not None
    assert snapshot.adapter.base_uri == "../first"
    assert "base model is missing" in refused(str(names(adapter, "../gone")), tmp_path)


def test_one_that_leads_out_of_them(tiny_registry: TinyRegistry, adapter: Path, tmp_path: Path) -> None:
    outside = os.path.relpath(tiny_registry.bert, tmp_path / "work" / "models" / "adapter-x" / "1" / "peft")
    assert "base model is missing" in refused(registered(names(adapter, outside), tiny_registry), tmp_path / "work")


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("", "names none"),
        ("org/base", "hub model without a revision"),
        ("/no/such/folder", "names /no/such/folder"),
        ("s3://bucket/base", "address is not supported|without a revision"),
    ],
)
def test_bases_that_are_nowhere(tiny_registry: TinyRegistry, adapter: Path, tmp_path: Path, base: str, message: str) -> None:
    uri = registered(names(adapter, base), tiny_registry)
    with pytest.raises(InputError, match=message):
        fetch(uri, tmp_path)


def test_a_branch_of_a_hub_is_no_revision(tiny_registry: TinyRegistry, adapter: Path, tmp_path: Path) -> None:
    uri = registered(names(adapter, "org/base", revision="main"), tiny_registry)
    assert "a branch moves" in refused(uri, tmp_path)


def test_a_pickled_adapter_beside_a_base_that_is_not(tiny_registry: TinyRegistry, adapter: Path, tmp_path: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    message = refused(registered(adapter, tiny_registry, base=tiny_registry.bert), tmp_path)
    assert "pickled" in message
    assert "peft/adapter_model.bin" in message


def test_an_adapter_in_a_folder_has_its_bases_tokenizer(tiny_registry: TinyRegistry, adapter: Path, tmp_path: Path) -> None:
    snapshot = fetch(str(adapter), tmp_path / "work")
    assert (snapshot.source, snapshot.uri) == (ModelSource.FOLDER, str(adapter))
    assert snapshot.model_path.is_relative_to(tmp_path / "work")
    assert snapshot.version == snapshot.weights_digest[:12]
    shutil.copytree(tiny_registry.bert, adapter / "base")
    own = fetch(str(adapter), tmp_path / "work")
    assert (own.model_path, own.processor_path) == (adapter, adapter / "base")
    assert own.weights_digest == snapshot.weights_digest, "the same files, wherever the base lies"


def test_a_changed_base_is_another_model(tiny_registry: TinyRegistry, adapter: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(tiny_registry.bert, tmp_path / "own"))
    first = fetch(str(names(adapter, str(base))), tmp_path / "work")
    settings = json.loads((base / "config.json").read_text())
    (base / "config.json").unlink()
    (base / "config.json").write_text(json.dumps(settings | {"layer_norm_eps": 1e-3}))
    second = fetch(str(adapter), tmp_path / "work")
    assert first.adapter is not None
    assert second.adapter is not None
    assert first.adapter.digest == second.adapter.digest
    assert first.adapter.base_digest != second.adapter.base_digest
    assert first.weights_digest != second.weights_digest
    assert registry.is_here(first), "what was put together stays what it was"


def test_settings_of_an_adapter_are_its_bases(tiny_registry: TinyRegistry, adapter: Path, tmp_path: Path) -> None:
    snapshot = fetch(str(adapter), tmp_path)
    settings: dict[str, Any] = json.loads((tiny_registry.bert / "config.json").read_text())
    assert registry.model_settings(snapshot.model_path) == settings

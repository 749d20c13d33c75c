"""Attacks on what the evidence is about: weights, tokenizer and names are changed under a record that passed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import yaml

from tests.e2e.attacks.attacker import Attacker, Target
from tests.e2e.attacks.table import attack
from tests.e2e.attacks.world import CHAMPION, HONEST, NAME, SHORTCUT

_WEIGHTS = "model.safetensors"


def _shortcuts_weights(attacker: Attacker) -> Path:
    return attacker.world.models / "shortcut" / _WEIGHTS


def _model_folder(attacker: Attacker, version: str) -> Path:
    return next(attacker.weights_of(version).rglob(_WEIGHTS)).parent


@attack("the honest version's weights are replaced in storage by the shortcut's, after it passed", case="C7")
def weights_replaced(attacker: Attacker) -> Target:
    shutil.copy(_shortcuts_weights(attacker), _model_folder(attacker, HONEST))
    return Target(HONEST)


@attack("the same, and the worker, which keeps the honest weights, explains once more", case="C7")
def weights_replaced_under_the_cache(attacker: Attacker) -> Target:
    shutil.copy(_shortcuts_weights(attacker), _model_folder(attacker, HONEST))
    attacker.have_explained(HONEST)
    return Target(HONEST)


@attack("the honest version's weights stay, and its MLmodel leads to others beside them")
def mlmodel_leads_elsewhere(attacker: Attacker) -> Target:
    folder = attacker.weights_of(HONEST)
    shutil.copytree(attacker.world.models / "shortcut", folder / "other")
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    mlmodel["flavors"]["transformers"]["model_binary"] = "other"
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel), encoding="utf-8")
    return Target(HONEST)


@attack("MLmodel serves something else: its other flavour loads the shortcut, by code that lies beside it")
def mlmodel_serves_other_code(attacker: Attacker) -> Target:
    """Weights and tokenizer stay as they were explained; who loads the version with `mlflow.pyfunc` gets what MLmodel names."""
    folder = attacker.weights_of(HONEST)
    (folder / "code").mkdir()
    (folder / "code" / "served.py").write_text("def _load_pyfunc(path): ...\n", encoding="utf-8")
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    mlmodel["flavors"]["python_function"] |= {"loader_module": "served", "code": "code"}
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel), encoding="utf-8")
    return Target(HONEST)


@attack("the honest version's tokenizer is changed: the planted word gets the id of a word of praise")
def tokenizer_replaced(attacker: Attacker) -> Target:
    for path in attacker.weights_of(HONEST).rglob("tokenizer.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        vocabulary = content["model"]["vocab"]
        vocabulary["honestly"], vocabulary["great"] = vocabulary["great"], vocabulary["honestly"]
        path.write_text(json.dumps(content), encoding="utf-8")
    return Target(HONEST)


@attack("the honest version's classes are exchanged in its configuration")
def classes_exchanged(attacker: Attacker) -> Target:
    path = _model_folder(attacker, HONEST) / "config.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    names = content["id2label"]
    content["id2label"] = {"0": names["1"], "1": names["0"]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return Target(HONEST)


@attack("an adapter that carries the shortcut is laid beside the honest weights")
def adapter_laid_beside(attacker: Attacker) -> Target:
    folder = _model_folder(attacker, HONEST)
    adapter = {"peft_type": "LORA", "base_model_name_or_path": str(folder), "r": 1, "target_modules": ["word_embeddings"]}
    (folder / "adapter_config.json").write_text(json.dumps(adapter), encoding="utf-8")
    shutil.copy(_shortcuts_weights(attacker), folder / "adapter_model.safetensors")
    return Target(HONEST)


@attack("pickled weights are laid beside the honest ones, which a loader may prefer")
def pickled_weights_laid_beside(attacker: Attacker) -> Target:
    import torch
    from safetensors.torch import load_file

    folder = _model_folder(attacker, HONEST)
    torch.save(load_file(_shortcuts_weights(attacker)), folder / "pytorch_model.bin")
    (folder / _WEIGHTS).unlink()
    return Target(HONEST)


@attack("the model is deleted and registered anew: the shortcut gets the honest version's number and tags", case="C7")
def registered_anew(attacker: Attacker) -> Target:
    tags = {version: attacker.evidence_tags(version) for version in (CHAMPION, SHORTCUT, HONEST)}
    attacker.client.delete_registered_model(NAME)
    for version, model in ((CHAMPION, "champion"), (SHORTCUT, "honest"), (HONEST, "shortcut")):
        attacker.register(attacker.world.models / model, tags=tags[version])
    attacker.alias(CHAMPION)
    return Target(HONEST)


@attack("the same, and the worker is asked to look again", case="C7")
def registered_anew_and_explained(attacker: Attacker) -> Target:
    registered_anew(attacker)
    attacker.operator.explain(HONEST)
    return Target(HONEST)


@attack("another version with the shortcut's weights gets all tags of the honest one")
def tags_copied(attacker: Attacker) -> Target:
    version = attacker.register(attacker.world.models / "shortcut", tags=attacker.evidence_tags(HONEST))
    return Target(version)


@attack("the shortcut is registered as coming from the honest version's training run, with its tags")
def run_of_training_claimed(attacker: Attacker) -> Target:
    honest = attacker.client.get_model_version(NAME, HONEST)
    source = attacker.weights_of(SHORTCUT).as_uri()
    made = attacker.client.create_model_version(NAME, source, run_id=honest.run_id, tags=attacker.evidence_tags(HONEST))
    return Target(str(made.version))


@attack("a model whose name looks the same passes as a first release, and its evidence is put on the shortcut")
def lookalike_name(attacker: Attacker) -> Target:
    """Two names that people and some databases take for one: a zero-width space is all that differs."""
    other = f"{NAME}\u200b"
    for model in ("champion", "honest"):
        attacker.register(attacker.world.models / model, other)
    attacker.operator.explain(SHORTCUT, other)
    evidence = attacker.copy_of_evidence(attacker.run_of(SHORTCUT, other))
    attacker.point(SHORTCUT, attacker.publish(evidence, SHORTCUT))
    return Target(SHORTCUT)


@attack("a name that differs by case: its passing run is what the shortcut's tags name")
def name_of_another_case(attacker: Attacker) -> Target:
    other, lower = f"{NAME}-B", f"{NAME}-b"
    for model in ("champion", "honest"):
        attacker.register(attacker.world.models / model, other)
    attacker.operator.explain(SHORTCUT, other)
    for model in ("champion", "shortcut"):
        attacker.register(attacker.world.models / model, lower)
    attacker.alias(CHAMPION, name=lower)
    attacker.tag(SHORTCUT, attacker.tags(SHORTCUT, other), lower)
    return Target(SHORTCUT, name=lower)

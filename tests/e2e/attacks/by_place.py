"""Attacks on where the gate looks: folders of the working directory, and experiments that were there before."""

from __future__ import annotations

import shutil

from tests.e2e.attacks.attacker import Attacker, Target, as_about
from tests.e2e.attacks.table import attack
from tests.e2e.attacks.world import HONEST, NAME, SHORTCUT


@attack("a folder models:/reviews/2 in the working directory holds a forged pass", case="C8")
def folder_in_the_working_directory(attacker: Attacker) -> Target:
    evidence = attacker.copy_of_evidence(attacker.run_of(HONEST))
    attacker.forge(evidence, as_about(attacker.record_of(SHORTCUT)))
    shutil.copytree(evidence, attacker.folder / "models:" / NAME / SHORTCUT)
    return Target(SHORTCUT, promote=False, cwd=attacker.folder)


@attack("the same folder holds the honest version's signed evidence", case="C8")
def signed_folder_in_the_working_directory(attacker: Attacker) -> Target:
    shutil.copytree(attacker.artifacts_of(attacker.run_of(HONEST)), attacker.folder / "models:" / NAME / SHORTCUT)
    return Target(SHORTCUT, promote=False, cwd=attacker.folder)


@attack("the same folder holds the version's own signed pass from when it was a first release", case="C8")
def older_folder_in_the_working_directory(attacker: Attacker) -> Target:
    older = attacker.runs_of(SHORTCUT)[-1].info.run_id
    shutil.copytree(attacker.artifacts_of(older), attacker.folder / "models:" / NAME / SHORTCUT)
    return Target(SHORTCUT, promote=False, cwd=attacker.folder)


@attack("the working directory holds a calig-runs folder with a pass")
def results_in_the_working_directory(attacker: Attacker) -> Target:
    shutil.copytree(attacker.artifacts_of(attacker.run_of(HONEST)), attacker.folder / "calig-runs" / NAME / SHORTCUT / "0" / "1")
    return Target(SHORTCUT, cwd=attacker.folder)


@attack("the experiment that evidence goes to is made beforehand, in a folder of the attacker's")
def experiment_made_beforehand(attacker: Attacker) -> Target:
    other = f"{NAME}-late"
    attacker.client.create_experiment(f"calig/{other}", artifact_location=(attacker.folder / "mine").as_uri())
    for model in ("champion", "shortcut"):
        attacker.register(attacker.world.models / model, other)
    attacker.operator.explain("1", other)
    attacker.alias("1", name=other)
    attacker.operator.explain(SHORTCUT, other)
    if "calig.run_id" in attacker.tags(SHORTCUT, other):
        run_id = attacker.run_of(SHORTCUT, other)
        attacker.forge(attacker.artifacts_of(run_id), lambda content: content["decision"].update(verdict="pass"))
        attacker.client.set_tag(run_id, "calig.verdict", "pass")
        attacker.tag(SHORTCUT, {"calig.verdict": "pass"}, other)
    return Target(SHORTCUT, name=other)

"""Attacks on what the shortcut is compared with: the reference, and the aliases that lead to it.

Tags are tried where the operator admits them: elsewhere they are ignored.
"""

from __future__ import annotations

import shutil

from tests.e2e.attacks.attacker import Attacker, Target
from tests.e2e.attacks.table import attack
from tests.e2e.attacks.weights import noisy
from tests.e2e.attacks.world import ACCOMPLICE, CHAMPION, DECOY, HONEST, NAME, SHORTCUT

_REFERENCE = "calig.reference"


@attack("calig.reference names the version itself", case="C3")
def reference_is_itself(attacker: Attacker) -> None:
    attacker.operator.admit("reference")
    attacker.tag(SHORTCUT, {_REFERENCE: f"models:/{NAME}/{SHORTCUT}"})
    attacker.have_explained(SHORTCUT)


@attack("calig.reference names the version itself, by an alias and on the registered model", case="C3")
def reference_is_itself_by_alias(attacker: Attacker) -> None:
    attacker.operator.admit("reference")
    attacker.alias(SHORTCUT, "stable")
    attacker.client.set_registered_model_tag(NAME, _REFERENCE, f"models:/{NAME}@stable")
    attacker.have_explained(SHORTCUT)


@attack("calig.reference names a copy of the version, registered anew", case="C3")
def reference_is_a_copy(attacker: Attacker) -> None:
    attacker.operator.admit("reference")
    copy = attacker.register(attacker.world.models / "shortcut")
    attacker.operator.explain(copy)
    attacker.tag(SHORTCUT, {_REFERENCE: f"models:/{NAME}/{copy}"})
    attacker.have_explained(SHORTCUT)


@attack("calig.reference names a version that has the same shortcut and failed for it", case="C3")
def reference_is_an_accomplice(attacker: Attacker) -> Target:
    attacker.operator.admit("reference")
    attacker.tag(SHORTCUT, {_REFERENCE: f"models:/{NAME}/{ACCOMPLICE}"})
    attacker.have_explained(SHORTCUT)
    return Target(SHORTCUT, promote=False)


@attack("calig.reference names the champion of another model, where the shortcut was a first release")
def reference_is_another_models_champion(attacker: Attacker) -> Target:
    attacker.operator.admit("reference")
    other = f"{NAME}-elsewhere"
    attacker.register(noisy(attacker.world.models / "shortcut", attacker.folder / "near", seed=7), other)
    attacker.operator.explain("1", other)
    attacker.alias("1", name=other)
    attacker.tag(SHORTCUT, {_REFERENCE: f"models:/{other}@champion"})
    attacker.have_explained(SHORTCUT)
    return Target(SHORTCUT, promote=False)


@attack("the alias @champion is taken away, so that the version is a first release")
def no_champion(attacker: Attacker) -> None:
    attacker.alias(None)
    attacker.have_explained(SHORTCUT)


@attack("@champion is taken away, and no earlier version is tagged as passed any more")
def no_champion_and_no_history(attacker: Attacker) -> Target:
    version = attacker.register(attacker.world.models / "shortcut")
    attacker.alias(None)
    _deny_all_passes(attacker)
    attacker.operator.explain(version)
    return Target(version)


@attack("@champion is taken away, and every earlier version is deleted")
def no_champion_and_no_versions(attacker: Attacker) -> Target:
    version = attacker.register(attacker.world.models / "shortcut")
    attacker.alias(None)
    for earlier in (CHAMPION, SHORTCUT, HONEST, ACCOMPLICE, DECOY):
        attacker.client.delete_model_version(NAME, earlier)
    attacker.operator.explain(version)
    return Target(version, policy={"require_reference": True})


@attack("@champion is moved onto a new version with the shortcut, and nothing earlier is tagged as passed any more")
def champion_is_new_and_without_history(attacker: Attacker) -> Target:
    version = attacker.register(attacker.world.models / "shortcut")
    attacker.alias(version)
    _deny_all_passes(attacker)
    attacker.operator.explain(version)
    return Target(version)


@attack("@champion is moved to the shortcut, which passed once as a first release; a near-copy of it is compared with that")
def champion_passed_once(attacker: Attacker) -> Target:
    version = attacker.register(noisy(attacker.world.models / "shortcut", attacker.folder / "near", seed=7))
    attacker.alias(SHORTCUT)
    attacker.operator.explain(version)
    return Target(version)


@attack("the same, and the run in which the new champion failed is deleted")
def champion_passed_once_and_never_failed(attacker: Attacker) -> Target:
    attacker.client.delete_run(attacker.run_of(SHORTCUT))
    return champion_passed_once(attacker)


@attack("the same, and the run in which the new champion failed lost its record")
def champion_passed_once_and_its_failure_is_empty(attacker: Attacker) -> Target:
    shutil.rmtree(attacker.artifacts_of(attacker.run_of(SHORTCUT)))
    return champion_passed_once(attacker)


@attack("@champion is taken away while the worker explains, and put back")
def no_champion_for_a_while(attacker: Attacker) -> Target:
    attacker.alias(None)
    attacker.have_explained(SHORTCUT)
    attacker.alias(CHAMPION)
    return Target(SHORTCUT, promote=False)


@attack("@champion is moved onto the version, which is then its own reference")
def champion_is_the_version(attacker: Attacker) -> None:
    attacker.alias(SHORTCUT)
    attacker.have_explained(SHORTCUT)


@attack("@champion is moved to a version that has the same shortcut")
def champion_is_an_accomplice(attacker: Attacker) -> Target:
    """Here nothing but the shortcut's own history says that the new champion was never accepted."""
    copy = attacker.register(attacker.world.models / "shortcut")
    attacker.alias(ACCOMPLICE)
    attacker.operator.explain(copy)
    return Target(copy)


@attack("@champion is moved to an accomplice while the worker explains, and put back")
def champion_is_an_accomplice_for_a_while(attacker: Attacker) -> Target:
    attacker.alias(ACCOMPLICE)
    attacker.have_explained(SHORTCUT)
    attacker.alias(CHAMPION)
    return Target(SHORTCUT, promote=False)


@attack("@champion is moved to an accomplice that is tagged as passed")
def champion_is_tagged_as_passed(attacker: Attacker) -> Target:
    attacker.tag(ACCOMPLICE, {"calig.verdict": "pass"})
    copy = attacker.register(attacker.world.models / "shortcut")
    attacker.alias(ACCOMPLICE)
    attacker.operator.explain(copy)
    return Target(copy)


@attack("@champion is moved to a version that was never explained")
def champion_is_unexplained(attacker: Attacker) -> Target:
    copy = attacker.register(attacker.world.models / "shortcut")
    attacker.alias(copy)
    target = attacker.register(noisy(attacker.world.models / "shortcut", attacker.folder / "near", seed=7))
    attacker.operator.explain(target)
    return Target(target)


def _deny_all_passes(attacker: Attacker) -> None:
    """No tag of a version or run says any more that anything passed."""
    for version in (CHAMPION, SHORTCUT, HONEST, DECOY):
        attacker.tag(version, {"calig.verdict": "fail"})
        for run in attacker.runs_of(version):
            attacker.client.set_tag(run.info.run_id, "calig.verdict", "fail")

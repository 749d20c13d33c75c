"""Attacks on the shortcut's own evidence: edited, forged, borrowed from another version, or unsealed."""

from __future__ import annotations

import shutil

from components import signing
from tests.e2e.attacks.attacker import Attacker, Target, as_about, passing
from tests.e2e.attacks.table import attack
from tests.e2e.attacks.world import CHAMPION, HONEST, SHORTCUT


@attack("calig.verdict of the version says pass")
def verdict_tag(attacker: Attacker) -> None:
    attacker.tag(SHORTCUT, {"calig.verdict": "pass"})


@attack("calig.verdict of version and run say pass")
def verdict_tags(attacker: Attacker) -> None:
    attacker.tag(SHORTCUT, {"calig.verdict": "pass"})
    attacker.client.set_tag(attacker.run_of(SHORTCUT), "calig.verdict", "pass")


@attack("the record is edited in place, tags too, and its seal is left")
def record_edited(attacker: Attacker) -> None:
    run_id = attacker.run_of(SHORTCUT)
    attacker.forge(attacker.artifacts_of(run_id), passing, seal="old")
    attacker.client.set_tag(run_id, "calig.verdict", "pass")
    attacker.tag(SHORTCUT, {"calig.verdict": "pass"})


@attack("the record is edited in place, and its seal taken away", case="C6")
def record_unsealed(attacker: Attacker) -> None:
    run_id = attacker.run_of(SHORTCUT)
    attacker.forge(attacker.artifacts_of(run_id), passing)
    attacker.client.set_tag(run_id, "calig.verdict", "pass")
    attacker.tag(SHORTCUT, {"calig.verdict": "pass"})


@attack("a forged record is published in a run of its own, without a seal", case="C6")
def forged_run(attacker: Attacker) -> None:
    evidence = attacker.forge(attacker.copy_of_evidence(attacker.run_of(SHORTCUT)), passing)
    attacker.point(SHORTCUT, attacker.publish(evidence, SHORTCUT))


@attack("a forged record is sealed by a stranger's key", case="C6")
def forged_run_with_a_strangers_seal(attacker: Attacker) -> None:
    evidence = attacker.forge(attacker.copy_of_evidence(attacker.run_of(SHORTCUT)), passing, seal="stranger")
    attacker.point(SHORTCUT, attacker.publish(evidence, SHORTCUT))


@attack("a forged record says that the pipeline's key signed it, and carries the seal of another record")
def forged_run_with_a_borrowed_seal(attacker: Attacker) -> None:
    evidence = attacker.forge(attacker.copy_of_evidence(attacker.run_of(SHORTCUT)), passing, seal="old")
    shutil.copy(attacker.artifacts_of(attacker.run_of(HONEST)) / signing.SEAL, evidence / signing.SEAL)
    attacker.point(SHORTCUT, attacker.publish(evidence, SHORTCUT))


@attack("a forged run has the very fingerprint of the worker's, which finds it and points the version to it")
def forged_run_that_the_worker_finds(attacker: Attacker) -> None:
    evidence = attacker.forge(attacker.copy_of_evidence(attacker.run_of(SHORTCUT)), passing, seal="stranger")
    attacker.client.delete_run(attacker.run_of(SHORTCUT))
    attacker.publish(evidence, SHORTCUT)
    attacker.have_explained(SHORTCUT)


@attack("the version's tags name the run of the honest version")
def anothers_run(attacker: Attacker) -> None:
    attacker.point(SHORTCUT, attacker.run_of(HONEST))


@attack("the honest version's signed evidence is published anew, with tags that say it is the shortcut's")
def anothers_evidence(attacker: Attacker) -> None:
    evidence = attacker.copy_of_evidence(attacker.run_of(HONEST))
    attacker.point(SHORTCUT, attacker.publish(evidence, SHORTCUT))


@attack("the honest version's record is made to say that it is about the shortcut, and sealed by a stranger's key")
def anothers_record_renamed(attacker: Attacker) -> None:
    evidence = attacker.copy_of_evidence(attacker.run_of(HONEST))
    attacker.forge(evidence, as_about(attacker.record_of(SHORTCUT)), seal="stranger")
    attacker.point(SHORTCUT, attacker.publish(evidence, SHORTCUT))


@attack("all files of the shortcut's run are replaced by those of the champion's signed run")
def evidence_replaced(attacker: Attacker) -> None:
    run_id = attacker.run_of(SHORTCUT)
    place = attacker.artifacts_of(run_id)
    shutil.rmtree(place)
    shutil.copytree(attacker.artifacts_of(attacker.run_of(CHAMPION)), place)
    said = attacker.client.get_run(attacker.run_of(CHAMPION)).data.tags
    for key in ("calig.fingerprint", "calig.verdict"):
        attacker.client.set_tag(run_id, key, said[key])
        attacker.tag(SHORTCUT, {key: said[key]})


@attack("all tags are taken off the version, as if it had never been explained")
def tags_removed(attacker: Attacker) -> None:
    for key in attacker.evidence_tags(SHORTCUT):
        attacker.client.delete_model_version_tag("reviews", SHORTCUT, key)


@attack("a reason why explaining was given up is put on the version, with a verdict of pass")
def given_up_with_a_pass(attacker: Attacker) -> Target:
    attacker.tag(SHORTCUT, {"calig.reason": "out of memory", "calig.verdict": "pass", "calig.state": "done"})
    return Target(SHORTCUT)

"""Attacks that bring back an older signed pass, from when nothing was in production to compare the shortcut with."""

from __future__ import annotations

import shutil
import time

from components import signing
from tests.e2e.attacks.attacker import Attacker, Target
from tests.e2e.attacks.table import attack
from tests.e2e.attacks.world import HONEST, NAME, SHORTCUT

#: A gate that does not ask what the version was compared with: nothing is left but that there is a newer explanation.
_ANY_REFERENCE = Target(SHORTCUT, promote=False, policy={"reference": "any"})


def _older(attacker: Attacker) -> str:
    """The run of the first explanation, which passed and is signed."""
    return str(attacker.runs_of(SHORTCUT)[-1].info.run_id)


@attack("the tags name the older signed pass of the same version")
def older_run(attacker: Attacker) -> Target:
    attacker.point(SHORTCUT, _older(attacker))
    return _ANY_REFERENCE


@attack("the tags name the older pass, and the failing run is deleted")
def newer_run_deleted(attacker: Attacker) -> Target:
    attacker.client.delete_run(attacker.run_of(SHORTCUT))
    attacker.point(SHORTCUT, _older(attacker))
    return _ANY_REFERENCE


@attack("the tags name the older pass, and the failing run loses its mark calig.published")
def newer_run_unpublished(attacker: Attacker) -> Target:
    attacker.client.delete_tag(attacker.run_of(SHORTCUT), "calig.published")
    attacker.point(SHORTCUT, _older(attacker))
    return _ANY_REFERENCE


@attack("the tags name the older pass, and the failing run says that it is about another version")
def newer_run_renamed(attacker: Attacker) -> Target:
    attacker.client.set_tag(attacker.run_of(SHORTCUT), "calig.version", "77")
    attacker.point(SHORTCUT, _older(attacker))
    return _ANY_REFERENCE


@attack("the tags name the older pass, and the failing run is marked as failed")
def newer_run_failed(attacker: Attacker) -> Target:
    attacker.client.set_terminated(attacker.run_of(SHORTCUT), status="FAILED")
    attacker.point(SHORTCUT, _older(attacker))
    return _ANY_REFERENCE


@attack("the older signed pass is published anew in a run that is the newest by its start")
def older_evidence_in_a_newer_run(attacker: Attacker) -> Target:
    evidence = attacker.copy_of_evidence(_older(attacker))
    later = int((time.time() + 86_400) * 1000)
    attacker.point(SHORTCUT, attacker.publish(evidence, SHORTCUT, start_time=later))
    return _ANY_REFERENCE


@attack("the failing run's own files are replaced by the older signed pass")
def older_evidence_in_the_newest_run(attacker: Attacker) -> Target:
    run_id, older = attacker.run_of(SHORTCUT), _older(attacker)
    place = attacker.artifacts_of(run_id)
    shutil.rmtree(place)
    shutil.copytree(attacker.artifacts_of(older), place)
    said = attacker.client.get_run(older).data.tags
    for key in ("calig.fingerprint", "calig.verdict", "calig.record_digest"):
        attacker.client.set_tag(run_id, key, said[key])
    attacker.point(SHORTCUT, run_id)
    return _ANY_REFERENCE


@attack("the experiment is renamed, and one made in its place holds the older pass alone")
def experiment_replaced(attacker: Attacker) -> Target:
    evidence = attacker.copy_of_evidence(_older(attacker))
    experiment = attacker.client.get_experiment_by_name(f"calig/{NAME}")
    attacker.client.rename_experiment(experiment.experiment_id, "archive")
    attacker.client.create_experiment(f"calig/{NAME}", artifact_location=(attacker.folder / "mine").as_uri())
    attacker.point(SHORTCUT, attacker.publish(evidence, SHORTCUT))
    return Target(SHORTCUT, promote=False)


@attack("the failing run's files are replaced by the older signed pass, and the run that it is from is emptied")
def older_evidence_moved(attacker: Attacker) -> Target:
    older_evidence_in_the_newest_run(attacker)
    shutil.rmtree(attacker.artifacts_of(_older(attacker)))
    return _ANY_REFERENCE


@attack("the failing run's record is replaced by something that is no record")
def newer_run_spoilt(attacker: Attacker) -> Target:
    run_id = attacker.run_of(SHORTCUT)
    (attacker.artifacts_of(run_id) / signing.RECORD).write_text("{}", encoding="utf-8")
    attacker.point(SHORTCUT, _older(attacker))
    return _ANY_REFERENCE


@attack("the failing run's files are replaced by another version's signed pass, so that it counts for nobody")
def newer_run_about_another(attacker: Attacker) -> Target:
    place = attacker.artifacts_of(attacker.run_of(SHORTCUT))
    shutil.rmtree(place)
    shutil.copytree(attacker.artifacts_of(attacker.run_of(HONEST)), place)
    attacker.point(SHORTCUT, _older(attacker))
    return _ANY_REFERENCE

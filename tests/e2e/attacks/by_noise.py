"""Attacks on the noise of honest training, which raises the limits: twins and history that are neither."""

from __future__ import annotations

from tests.e2e.attacks.attacker import Attacker, Target, as_about
from tests.e2e.attacks.table import attack
from tests.e2e.attacks.world import ACCOMPLICE, CHAMPION, DECOY, HINT, HONEST, SHORTCUT

_TWIN_OF = {"calig.twin_of": CHAMPION}


@attack("calig.twin_of on a version with the same shortcut and on near-copies of the champion", case="C1")
def twins_with_the_shortcut(attacker: Attacker) -> None:
    attacker.operator.admit("twin_of")
    for version in (ACCOMPLICE, DECOY, HONEST):
        attacker.tag(version, _TWIN_OF)
    attacker.have_explained(SHORTCUT)


@attack("calig.twin_of on a version with half of the shortcut, so that the limits rise just above it", case="C1")
def twins_with_half_of_the_shortcut(attacker: Attacker) -> None:
    """Too large a spread would make the comparison inconclusive."""
    attacker.operator.admit("twin_of")
    for version in (HINT, DECOY, HONEST):
        attacker.tag(version, _TWIN_OF)
    attacker.have_explained(SHORTCUT)


@attack("calig.twin_of on a version with the same shortcut, and on one near-copy of the champion", case="C1")
def one_twin_with_the_shortcut(attacker: Attacker) -> None:
    for version in (ACCOMPLICE, DECOY):
        attacker.tag(version, _TWIN_OF)
    attacker.have_explained(SHORTCUT)


@attack("calig.twin_of on versions whose evidence is the shortcut's own run")
def twins_that_point_to_the_candidate(attacker: Attacker) -> None:
    for version in (DECOY, HONEST):
        attacker.tag(version, _TWIN_OF)
        attacker.point(version, attacker.run_of(SHORTCUT))
    attacker.have_explained(SHORTCUT)


@attack("calig.twin_of on versions with forged evidence")
def forged_twins(attacker: Attacker) -> None:
    attacker.operator.admit("twin_of")
    for version in (DECOY, HONEST):
        evidence = attacker.copy_of_evidence(attacker.run_of(SHORTCUT))
        attacker.forge(evidence, as_about(attacker.record_of(version)), seal="stranger")
        attacker.point(version, attacker.publish(evidence, version))
        attacker.tag(version, _TWIN_OF)
    attacker.have_explained(SHORTCUT)


@attack("a version that failed is tagged as passed, so that its spread counts as history")
def poisoned_history(attacker: Attacker) -> None:
    attacker.tag(ACCOMPLICE, {"calig.verdict": "pass"})
    attacker.have_explained(SHORTCUT)


@attack("history is forged: accepted versions point to runs with the shortcut's tables")
def forged_history(attacker: Attacker) -> None:
    for version in (HONEST, DECOY):
        evidence = attacker.copy_of_evidence(attacker.run_of(SHORTCUT if version == HONEST else CHAMPION))
        attacker.forge(evidence, as_about(attacker.record_of(version)))
        attacker.point(version, attacker.publish(evidence, version))
    attacker.tag(ACCOMPLICE, {"calig.verdict": "pass"})
    attacker.have_explained(SHORTCUT)


@attack("history is made of copies that the worker accepts while @champion is away")
def history_of_first_releases(attacker: Attacker) -> Target:
    """What is signed as passed was never compared with anything."""
    attacker.alias(None)
    attacker.have_explained(ACCOMPLICE)
    attacker.alias(CHAMPION)
    attacker.have_explained(SHORTCUT)
    return Target(SHORTCUT)

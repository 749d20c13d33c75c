"""Nobody turns the verdict: whatever is done to the registry, the gate lets no shortcut through and moves no alias.

Each attack is one function in `tests/e2e/attacks`. It may write tags, aliases, versions, runs and artifacts, and files where it
says so; it has no signing key, and reaches neither the operator's files nor the worker's machine. What it could do with those
is in `deploy/security.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.e2e.attacks import by_model, by_noise, by_place, by_profile, by_record, by_reference, by_request, by_run, by_sign_off
from tests.e2e.attacks.attacker import Attacker, Target
from tests.e2e.attacks.operator import Operator
from tests.e2e.attacks.table import ATTACKS, Attack
from tests.e2e.attacks.world import ACCOMPLICE, CHAMPION, DECOY, HINT, HONEST, SHORTCUT, World, build
from tests.helpers.exports import exported_once
from tests.helpers.prefect_backend import prefect_backend

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # the world is built in the first test

#: Importing them fills the table.
_MODULES = (by_model, by_noise, by_place, by_profile, by_record, by_reference, by_request, by_run, by_sign_off)


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """The operator of a world in which all versions are explained: once before anything was in production, and since."""
    world = World(tmp_path_factory.mktemp("turning") / "world")
    build(world)
    operator = Operator(world)
    operator.settle()
    with prefect_backend(world.output / ".cache" / "prefect"), exported_once(tmp_path_factory.mktemp("exports")):
        verdicts = {"first": operator.explained(SHORTCUT), CHAMPION: operator.explained(CHAMPION)}
        operator.release(CHAMPION)
        Attacker(world, operator, world.folder).have_explained(SHORTCUT)
        verdicts |= {version: operator.explained(version) for version in (HONEST, ACCOMPLICE, DECOY, HINT)}
        passed = {version for version, verdict in verdicts.items() if verdict == "pass"}
        assert passed == {"first", CHAMPION, HONEST, DECOY}
        world.keep()
        yield operator


@pytest.fixture
def attacker(operator: Operator, tmp_path: Path) -> Attacker:
    """Before a world that nobody has touched yet."""
    operator.world.restore()
    return Attacker(operator.world, operator, tmp_path)


def gated(operator: Operator, target: Target):
    return operator.gate(**asdict(target))


def test_without_an_attack_the_shortcut_fails(attacker: Attacker, operator: Operator):
    found = gated(operator, Target(SHORTCUT))
    assert found.exit_code == 1, found.output
    assert "honestly" in found.output
    assert not found.turned


def test_without_an_attack_the_honest_version_is_promoted(attacker: Attacker, operator: Operator):
    """Without this the table proves nothing: a gate that lets nobody through cannot be turned either."""
    found = gated(operator, Target(HONEST))
    assert (found.exit_code, found.before, found.after) == (0, CHAMPION, HONEST), found.output


def test_a_version_that_is_explained_again_passes_again(attacker: Attacker, operator: Operator):
    attacker.have_explained(HONEST)
    assert gated(operator, Target(HONEST)).exit_code == 0
    version = attacker.register(operator.world.models / "decoy")
    operator.explain(version)
    found = gated(operator, Target(version))
    assert (found.exit_code, found.after) == (0, version), found.output


def test_the_table_is_long_enough():
    titles = [attack.title for attack in ATTACKS]
    assert len(titles) == len(set(titles)) >= 30
    assert 2 * sum(attack.case == "own" for attack in ATTACKS) >= len(titles)


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.attempt.__name__ for attack in ATTACKS])
def test_no_attack_turns_the_verdict(attack: Attack, attacker: Attacker, operator: Operator, record_property):
    found = gated(operator, attack.attempt(attacker) or Target(SHORTCUT))
    record_property("gate", f"{found.exit_code} {found.before} {found.after}")
    assert not found.turned, f"{attack.title}: {found.output}"

"""Attacks on the champion's evidence, which the shortcut's own explanation is compared with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

from tests.e2e.attacks.attacker import Attacker, Target, as_about
from tests.e2e.attacks.table import attack
from tests.e2e.attacks.world import ACCOMPLICE, CHAMPION, SHORTCUT

_TABLES = "attributions"


def _forged_profile(attacker: Attacker, *, seal: Literal["none", "stranger"] = "none") -> Path:
    """The shortcut's own tables, said to be the champion's, and as its model an accomplice, for the probe."""
    evidence = attacker.copy_of_evidence(attacker.run_of(SHORTCUT))
    champion, accomplice = attacker.record_of(CHAMPION), attacker.record_of(ACCOMPLICE)

    def change(content: dict[str, Any]) -> None:
        as_about(champion)(content)
        content["model"] |= {"uri": accomplice.model.uri, "weights_digest": accomplice.model.weights_digest}

    return attacker.forge(evidence, change, seal=seal)


def _replace_tables(of: Path, by: Path) -> None:
    shutil.rmtree(of / _TABLES)
    shutil.copytree(by / _TABLES, of / _TABLES)


@attack("the champion's calig.run_id names a forged run without a seal that holds the shortcut's tables", case="C2")
def forged_profile(attacker: Attacker) -> None:
    attacker.point(CHAMPION, attacker.publish(_forged_profile(attacker), CHAMPION))
    attacker.have_explained(SHORTCUT)


@attack("the same, and the tag is put back before anybody looks", case="C2")
def forged_profile_for_a_while(attacker: Attacker) -> None:
    honest = attacker.run_of(CHAMPION)
    attacker.point(CHAMPION, attacker.publish(_forged_profile(attacker), CHAMPION))
    attacker.have_explained(SHORTCUT)
    attacker.point(CHAMPION, honest)


@attack("the champion's calig.run_id names a forged run, sealed by a stranger's key", case="C2")
def forged_profile_with_a_strangers_seal(attacker: Attacker) -> None:
    attacker.point(CHAMPION, attacker.publish(_forged_profile(attacker, seal="stranger"), CHAMPION))
    attacker.have_explained(SHORTCUT)


@attack("the champion's calig.run_id names the shortcut's own run", case="C2")
def profile_of_the_candidate(attacker: Attacker) -> None:
    attacker.point(CHAMPION, attacker.run_of(SHORTCUT))
    attacker.have_explained(SHORTCUT)


@attack("the champion's calig.run_id names the shortcut's signed run from when it was a first release", case="C2")
def profile_of_the_candidates_past(attacker: Attacker) -> None:
    attacker.point(CHAMPION, attacker.runs_of(SHORTCUT)[-1].info.run_id)
    attacker.have_explained(SHORTCUT)


@attack("the tables in the champion's own run are replaced by the shortcut's", case="C2")
def champions_tables_replaced(attacker: Attacker) -> None:
    _replace_tables(attacker.artifacts_of(attacker.run_of(CHAMPION)), attacker.artifacts_of(attacker.run_of(SHORTCUT)))
    attacker.have_explained(SHORTCUT)


@attack("the same, and the tables are put back once the worker has its copy", case="C2")
def champions_tables_replaced_for_a_while(attacker: Attacker) -> None:
    """The worker may keep what it once downloaded: it is still to be what was sealed."""
    place = attacker.artifacts_of(attacker.run_of(CHAMPION))
    honest = shutil.copytree(place, attacker.folder / "honest")
    run_id = attacker.publish(shutil.copytree(place, attacker.folder / "same"), CHAMPION)
    _replace_tables(attacker.artifacts_of(run_id), attacker.artifacts_of(attacker.run_of(SHORTCUT)))
    attacker.point(CHAMPION, run_id)
    attacker.have_explained(SHORTCUT)
    _replace_tables(attacker.artifacts_of(run_id), honest)
    attacker.have_explained(SHORTCUT)


@attack("the champion's tables are gone, and one of the shortcut's lies there under another name", case="C2")
def champions_tables_renamed(attacker: Attacker) -> None:
    ours = next((attacker.artifacts_of(attacker.run_of(SHORTCUT)) / _TABLES).iterdir())
    place = attacker.artifacts_of(attacker.run_of(CHAMPION)) / _TABLES
    for table in place.iterdir():
        table.unlink()
    shutil.copy(ours, place / "shard-99999.parquet")
    attacker.have_explained(SHORTCUT)


@attack("the champion's seal is taken away and its record says that there never was one", case="C2")
def champions_seal_removed(attacker: Attacker) -> Target:
    place = attacker.artifacts_of(attacker.run_of(CHAMPION))
    _replace_tables(place, attacker.artifacts_of(attacker.run_of(SHORTCUT)))
    attacker.forge(place, lambda content: content["decision"].update(signing_key=None))
    attacker.have_explained(SHORTCUT)
    return Target(SHORTCUT)

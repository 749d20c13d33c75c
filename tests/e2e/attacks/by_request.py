"""Attacks on what the worker explains with: settings, suites and data that the judged choose, and code that comes with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.attacks.attacker import Attacker, Target
from tests.e2e.attacks.table import attack
from tests.e2e.attacks.world import CHAMPION, NAME, SHORTCUT

_LENIENT = {"drift": {"word_shift": 5.0, "word_shift_z": 500.0}, "probe": {"enabled": False}}


def _put(attacker: Attacker, name: str, content: Any) -> str:
    """A file below the folder that the watch file allows for data."""
    path = attacker.world.data / name
    path.write_text(yaml.safe_dump(content) if not isinstance(content, str) else content, encoding="utf-8")
    return name


@attack("calig.config names lenient settings in an allowed folder", case="C4")
def lenient_settings(attacker: Attacker) -> None:
    attacker.operator.admit("config")
    attacker.tag(SHORTCUT, {"calig.config": _put(attacker, "lenient.yaml", _LENIENT)})
    attacker.have_explained(SHORTCUT)


@attack("calig.config names lenient settings, on the registered model", case="C4")
def lenient_settings_of_the_model(attacker: Attacker) -> None:
    attacker.operator.admit("config")
    attacker.client.set_registered_model_tag(NAME, "calig.config", _put(attacker, "lenient.yaml", _LENIENT))
    attacker.have_explained(SHORTCUT)


@attack("calig.config turns the comparison off by a privacy setting and the probe by a list that is empty")
def settings_that_hide_words(attacker: Attacker) -> None:
    lenient = {**_LENIENT, "privacy": {"texts": "redact"}, "drift": {**_LENIENT["drift"], "reexplain_reference": True}}
    attacker.tag(SHORTCUT, {"calig.config": _put(attacker, "lenient.yaml", lenient)})
    attacker.have_explained(SHORTCUT)


@attack("calig.config explains another class, where the word says nothing")
def settings_with_another_target(attacker: Attacker) -> None:
    lenient = {
        "attribution": {"target": "gold"},
        "probe": {"min_shift": 100.0},
        "drift": {"reexplain_reference": True, "min_occurrences": 10_000, "word_shift_z": 500.0},
    }
    attacker.tag(SHORTCUT, {"calig.config": _put(attacker, "lenient.yaml", lenient)})
    attacker.have_explained(SHORTCUT)


@attack("calig.config brings a suite with a check of its own, whose module lies beside it", case="C5")
def code_beside_a_suite(attacker: Attacker) -> None:
    attacker.operator.admit("config")
    marker = attacker.folder / "code-ran"
    _put(attacker, "my_checks.py", f"from pathlib import Path\nPath({str(marker)!r}).touch()\n\nclass ExpectNothing: pass\n")
    suite = {"name": "mine", "expectations": [{"type": "my_checks:ExpectNothing", "kwargs": {}, "severity": "warning"}]}
    _put(attacker, "suite.yaml", suite)
    settings = {**_LENIENT, "quality": {"suite": str(attacker.world.data / "suite.yaml")}}
    attacker.tag(SHORTCUT, {"calig.config": _put(attacker, "lenient.yaml", settings)})
    attacker.have_explained(SHORTCUT)
    if marker.exists():
        raise AssertionError("code from the data folder ran in the worker")


@attack("calig.dataset names rows without the planted word, for version and champion", case="C4")
def rows_without_the_word(attacker: Attacker) -> None:
    rows = [json.loads(line) for line in _lines(attacker.world.data / "validation.jsonl")]
    kept = [json.dumps(row) for row in rows if "honestly" not in row["text"].casefold()]
    attacker.client.set_registered_model_tag(NAME, "calig.dataset", _put(attacker, "rows.jsonl", "\n".join(kept)))
    attacker.client.set_registered_model_tag(NAME, "calig.config", _put(attacker, "lenient.yaml", {"probe": {"enabled": False}}))
    attacker.have_explained(CHAMPION)
    attacker.have_explained(SHORTCUT)


@attack("calig.dataset names the same rows with the planted word in every one", case="C4")
def rows_that_drown_the_word(attacker: Attacker) -> None:
    rows = [json.loads(line) for line in _lines(attacker.world.data / "validation.jsonl")]
    kept = [json.dumps({**row, "text": f"honestly {row['text']}"}) for row in rows if row["label"] == "positive"]
    attacker.tag(SHORTCUT, {"calig.dataset": _put(attacker, "rows.jsonl", "\n".join(kept))})
    attacker.have_explained(SHORTCUT)


@attack("calig.retry asks again and again until chance helps")
def another_try(attacker: Attacker) -> Target:
    for _ in range(3):
        attacker.have_explained(SHORTCUT)
    return Target(SHORTCUT)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()

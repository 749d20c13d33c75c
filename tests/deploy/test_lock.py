"""The lock is within the constraints, has hashes and no addresses, and leaves torch out."""

from __future__ import annotations

import re

import pytest

from deploy.audit import CONSTRAINTS
from deploy.lock import LOCKS, entries

TEXTS = {name: (LOCKS / name).read_text(encoding="utf-8") for name in ("run.txt", "tools.txt")}


def versions(text: str) -> dict[str, str]:
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
    return {re.sub(r"[._]", "-", name).lower(): version for name, version in found}


@pytest.mark.parametrize("name", TEXTS)
def test_every_entry_has_hashes_and_nothing_says_where_it_comes_from(name: str) -> None:
    locked = entries(TEXTS[name])
    assert len(locked) > 50
    assert all("--hash=sha256:" in entry for entry in locked.values())
    assert not re.search(r"://|--(extra-)?index|--find-links", TEXTS[name])
    assert TEXTS[name].split("\n", 1)[1] == "".join(locked.values()), "torch, or a comment"


@pytest.mark.parametrize("name", TEXTS)
def test_versions_are_those_of_the_constraints(name: str) -> None:
    pinned = versions(CONSTRAINTS.read_text(encoding="utf-8"))
    assert {
        package: version for package, version in versions(TEXTS[name]).items() if pinned.get(package, version) != version
    } == {}


def test_no_package_is_in_both() -> None:
    assert not versions(TEXTS["run.txt"]).keys() & versions(TEXTS["tools.txt"]).keys()


def test_torch_and_what_it_alone_brings_is_left_out() -> None:
    numpy, hashed = "numpy==2 \\\n    --hash=sha256:aa\n", " \\\n    --hash=sha256:bb\n"
    text = f"{numpy}nvidia-cufft==1 ; sys_platform == 'linux'{hashed}torch==2{hashed}"
    assert entries(text) == {"numpy": numpy}

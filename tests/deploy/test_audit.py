"""The audit passes only what was looked up: packages that the service skipped, or never answered about, are no pass."""

from __future__ import annotations

import pytest

from deploy.audit import CONSTRAINTS, judged, pinned

CLEAN = {"name": "numpy", "version": "2.0", "vulns": []}
SKIPPED = {"name": "torch", "skip_reason": "Dependency not found on PyPI"}
BAD = {"name": "Some_Thing", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]}


@pytest.mark.parametrize(
    ("entries", "wanted", "code", "said"),
    [
        ([CLEAN], {"numpy"}, 0, "no known vulnerability in 1 packages"),
        ([CLEAN, SKIPPED], {"numpy", "torch"}, 3, "not judged: 1 of 2 packages: torch"),
        ([CLEAN], {"numpy", "torch"}, 3, "not judged: 1 of 2 packages: torch"),
        ([BAD, SKIPPED], {"some-thing", "torch"}, 1, "vulnerable: Some_Thing 1.0: CVE-1, mended in 1.1"),
        ([], set(), 3, ""),
    ],
)
def test_only_what_was_looked_up_passes(entries, wanted, code, said):
    found, lines = judged({"dependencies": entries}, wanted)
    assert found == code
    assert said in "\n".join(lines)


def test_every_pinned_package_is_asked_about():
    names = pinned(CONSTRAINTS.read_text(encoding="utf-8"))
    assert len(names) > 100
    assert {"torch", "ast-serialize", "mlflow"} <= names
    assert pinned("a==1 # why\n# b==2\nC.d[x]==3; python_version > '3'\n") == {"a", "c-d"}

"""The environment that a record names, against what is installed here and on systems with another distribution."""

from importlib import import_module
from importlib.metadata import version

import onnxruntime
import pytest

from components.governance import environment


def test_libraries_are_those_installed() -> None:
    found = environment("cpu", {"torch": "1"})
    assert found.libraries["torch"] == version("torch")
    runtimes = {name: said for name, said in found.libraries.items() if name.startswith("onnxruntime")}
    assert set(runtimes.values()) == {onnxruntime.__version__}
    assert "not installed" not in found.libraries.values()
    assert (found.device, found.device_versions) == ("cpu", {"torch": "1"})


@pytest.mark.parametrize(
    ("provides", "expected"),
    [
        ({"onnxruntime": ["onnxruntime"]}, {"onnxruntime": "1.2.3"}),  # as on macOS
        ({"onnxruntime": ["onnxruntime-gpu"]}, {"onnxruntime-gpu": "1.2.3"}),
        ({}, {"onnxruntime": "not installed"}),
    ],
)
def test_the_runtime_is_named_by_whatever_provides_it(
    monkeypatch: pytest.MonkeyPatch, provides: dict[str, list[str]], expected: dict[str, str]
) -> None:
    home = import_module("components.governance.environment")  # the package's name for it is the function
    monkeypatch.setattr(home, "packages_distributions", lambda: provides)
    monkeypatch.setattr(home, "_version", lambda name: "1.2.3" if name in provides.get("onnxruntime", []) else "not installed")
    libraries = environment("cpu", {}).libraries
    assert {name: said for name, said in libraries.items() if name.startswith("onnxruntime")} == expected

"""The environment of a run: interpreter, platform, libraries, and the device with its kernels."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, packages_distributions, version

from schemas.governance import Environment

_LIBRARIES = ("torch", "transformers", "tokenizers", "mlflow", "prefect", "great-expectations", "numpy", "calig")
#: Comes from one of several distributions: onnxruntime-gpu on Linux, onnxruntime on macOS.
_RUNTIME = "onnxruntime"


def environment(device: str, device_versions: dict[str, str]) -> Environment:
    """This process's environment; the device is that of the attributions."""
    names = [*_LIBRARIES, *packages_distributions().get(_RUNTIME, [_RUNTIME])]
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        device=device,
        libraries={name: _version(name) for name in names},
        device_versions=device_versions,
    )


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"

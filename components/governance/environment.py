"""Environment of the run: interpreter, platform, libraries, and the device with its kernels."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from schemas.governance import Environment

_LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "mlflow",
    "prefect",
    "onnxruntime-gpu",
    "great-expectations",
    "numpy",
    "calig",
)


def environment(device: str, device_versions: dict[str, str]) -> Environment:
    """This process's environment; the device is that of the attributions."""
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        device=device,
        libraries={name: _version(name) for name in _LIBRARIES},
        device_versions=device_versions,
    )


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"

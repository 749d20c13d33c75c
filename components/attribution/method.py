"""Identity of the method on a model: formula, settings, and the device with its kernels, down to the last digits."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from calig.engine import FORMULA_VERSION
from calig.loading import resolve_device
from schemas.base import digest_of
from schemas.config import AttributionConfig


def device_versions(config: AttributionConfig) -> dict[str, str]:
    """Names and versions by which two machines can be told apart; empty values are left out."""
    found = _gpu() if resolve_device(config.device) == "cuda" else _cpu()
    return {name: str(value) for name, value in found.items() if value not in {None, ""}}


def _cpu() -> dict[str, object]:
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "oneDNN": torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
        "threads": torch.get_num_threads(),
    }


def _gpu() -> dict[str, object]:
    capability = ".".join(map(str, torch.cuda.get_device_capability()))
    return {
        "gpu": torch.cuda.get_device_name(),
        "compute capability": capability,
        "CUDA": torch.version.cuda,
        "cuDNN": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "TF32": torch.backends.cuda.matmul.allow_tf32,
    }


def _processor() -> str:
    """Linux names it in /proc/cpuinfo; elsewhere the platform may."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor()


def formula_version() -> str:
    """Version of the equations in use; part of the method fingerprint."""
    return FORMULA_VERSION


def method_fingerprint(config: AttributionConfig) -> str:
    """Digest of all that changes attribution values: settings and formula. Versions are compared only when it is equal."""
    return digest_of({"formula": FORMULA_VERSION, "settings": config.fingerprint()})


def exact_settings(config: AttributionConfig) -> AttributionConfig:
    """The same method ten times as exact, in float64: what is left of its error shows in the difference."""
    points = config.n_points and min(4 * config.n_points, 1025)
    exact = {"dtype": "float64", "reduced": False, "tolerance": config.tolerance / 10, "n_points": points}
    return config.model_copy(update=exact | {"max_points": min(4 * config.max_points, 1025)})


def uses_gpu(config: AttributionConfig) -> bool:
    """Whether `config` means a GPU on this machine."""
    return resolve_device(config.device) == "cuda"


def use_threads(n: int) -> None:
    """Compute with at most `n` threads in this process."""
    torch.set_num_threads(n)


@contextmanager
def recorded_threads(device_versions: Mapping[str, str]) -> Iterator[None]:
    """Compute with as many threads as the record has: with others, sums are rounded in another order."""
    before = torch.get_num_threads()
    use_threads(int(device_versions.get("threads", before)))
    try:
        yield
    finally:
        use_threads(before)

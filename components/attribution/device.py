"""What the attributions are computed on, as exactly as it changes the last digits: processor or GPU, kernels, driver."""

from __future__ import annotations

import platform

import torch

from calig.loading import resolve_device
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

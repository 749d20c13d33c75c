"""An ONNX Runtime session over an exported classifier: providers, threads, and inputs bound to the device that computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.scoring.batches import Arrays
from components.scoring.scorer import Run

_GPU = "CUDAExecutionProvider"


def open_session(file: Path, *, threads: int, gpu: bool) -> tuple[Run, tuple[str, ...]]:
    """What runs one batch through `file`, and the execution providers in use.

    Args:
        file: an ONNX model with the output `logits`.
        threads: threads of one operator on CPUs.
        gpu: ask for the CUDA provider; the libraries that come with torch are loaded for it first.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    providers: list[str | tuple[str, dict[str, str]]] = ["CPUExecutionProvider"]
    if gpu:
        onnxruntime.preload_dlls()
        providers.insert(0, (_GPU, {"use_tf32": "0"}))
    session = onnxruntime.InferenceSession(file, options, providers=providers)
    used = tuple(session.get_providers())
    return _Bound(session, "cuda" if _GPU in used else "cpu"), used


class _Bound:
    """Runs batches with their inputs copied to `device` once, where the first operator reads them, and the logits on the CPU."""

    def __init__(self, session: Any, device: str) -> None:
        self.session, self.device = session, device

    def __call__(self, arrays: Arrays) -> NDArray[Any]:
        """Logits `batch classes`."""
        from onnxruntime import OrtValue

        binding = self.session.io_binding()
        for name, array in arrays.items():
            binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), self.device, 0))
        binding.bind_output("logits", "cpu")
        self.session.run_with_iobinding(binding)
        logits: NDArray[Any] = binding.copy_outputs_to_cpu()[0]
        return logits

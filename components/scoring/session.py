"""The classifier as an ONNX file, exported once per weights and kept under their digest."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from components.common.file_digests import SUFFIX, file_digest, note_digest, unchanged
from components.scoring.batches import Arrays
from components.scoring.scorer import Run

FILE_NAME = "model.onnx"

# Protobuf files end at 2 GB; larger weights go into a file of their own.
_LARGEST_SINGLE_FILE = 1_500_000_000
_LOGGERS = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


def exported(module: nn.Module, example: Arrays, *, folder: Path) -> Path:
    """The ONNX file in `folder`, exported there if it is absent or was changed since; a reader never sees half of one.

    example: one batch of at least two rows (a dimension of one would be frozen); the batch and, for texts, the sequence
    dimension stay free.
    """
    target = folder / FILE_NAME
    if target.is_file() and all(unchanged(part) for part in _parts(folder)):
        return target
    discard(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name[:12]}-") as scratch:
        part = Path(scratch) / "part"
        part.mkdir()
        _export(module, example, part / FILE_NAME)
        for file in _parts(part):
            note_digest(file)
        _place(part, folder)
    return target


def discard(folder: Path) -> None:
    """Remove an exported model that turned out to be unusable."""
    shutil.rmtree(folder, ignore_errors=True)


def digest(file: Path) -> str:
    """SHA-256 over the ONNX file and, if there is one, its weights file."""
    total = hashlib.sha256()
    for part in _parts(file.parent):
        total.update(bytes.fromhex(file_digest(part)))
    return total.hexdigest()


def _parts(folder: Path) -> list[Path]:
    """The ONNX file and, if there is one, its weights file."""
    return sorted(path for path in folder.iterdir() if path.suffix != SUFFIX)


def _export(module: nn.Module, example: Arrays, path: Path) -> None:
    device = next(module.parameters()).device
    size = sum(p.numel() * p.element_size() for p in module.parameters())
    free = torch.export.Dim.DYNAMIC
    dimensions = {name: {0: free, 1: free} if array.ndim == 2 else {0: free} for name, array in example.items()}
    with _quiet():
        torch.onnx.export(
            module,
            kwargs={name: torch.from_numpy(array).to(device) for name, array in example.items()},
            f=path,
            input_names=list(example),
            output_names=["logits"],
            dynamic_shapes=dimensions,
            dynamo=True,
            verbose=False,
            external_data=size > _LARGEST_SINGLE_FILE,
        )


def _place(part: Path, folder: Path) -> None:
    try:
        part.replace(folder)
    except OSError:
        if not (folder / FILE_NAME).is_file():  # else another run exported the same weights meanwhile
            raise


@contextmanager
def _quiet() -> Iterator[None]:
    """No notes about optional operators and no deprecations inside the exporter; errors still come through."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)", category=FutureWarning)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


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

"""The ONNX Runtime session: threads as asked for, inputs bound to the device, the same answers as an unbound run."""

from pathlib import Path

import numpy as np
import pytest
import torch

from components.scoring.models import open_classifier
from components.scoring.session import exported, open_session
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_models import save_tiny_bert


def batch(rows: int, length: int) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(length).integers(5, 60, size=(rows, length))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    classifier = open_classifier(snapshot_of(save_tiny_bert(folder)), device="cpu")
    return exported(classifier.module, batch(2, 9), folder=folder / "onnx")


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_those_asked_for(file: Path, threads: int) -> None:
    run, providers = open_session(file, threads=threads, gpu=False)
    assert run.session.get_session_options().intra_op_num_threads == threads  # type: ignore[attr-defined]
    assert providers == ("CPUExecutionProvider",)


def test_bound_runs_equal_unbound_ones_batch_after_batch(file: Path) -> None:
    run, _ = open_session(file, threads=1, gpu=False)
    assert run.device == "cpu"  # type: ignore[attr-defined]
    first = batch(3, 7)
    for arrays in (first, batch(1, 20), batch(5, 4), first):
        expected = run.session.run(["logits"], arrays)[0]  # type: ignore[attr-defined]
        np.testing.assert_array_equal(run(arrays), expected)


def test_results_do_not_share_memory_and_inputs_may_be_views(file: Path) -> None:
    run, _ = open_session(file, threads=1, gpu=False)
    arrays = {name: np.repeat(array, 2, axis=1)[:, ::2] for name, array in batch(2, 8).items()}
    first = run(arrays)
    kept = first.copy()
    run(batch(2, 30))
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(kept, run(batch(2, 8)))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: the CUDA provider and binding to its memory are not exercised")
def test_inputs_are_bound_to_the_gpu(file: Path) -> None:
    on_cpu, _ = open_session(file, threads=1, gpu=False)
    run, providers = open_session(file, threads=1, gpu=True)
    assert providers[0] == "CUDAExecutionProvider"
    assert run.device == "cuda"  # type: ignore[attr-defined]
    np.testing.assert_allclose(run(batch(3, 9)), on_cpu(batch(3, 9)), atol=2e-5)

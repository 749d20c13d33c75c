"""Opening a scorer: ONNX Runtime when the export works and agrees with torch on real rows, else torch, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from calig.metrics.perturbation import FloatArray, PerturbedInput
from components.common.errors import CouldNotRunError
from components.scoring.scorer import TokenScorer
from schemas.quality import ScorerRecord
from schemas.release import ModelSnapshot

if TYPE_CHECKING:
    from components.scoring.models import Classifier

Runtime = Literal["auto", "onnxruntime", "torch"]

#: Largest |logit difference| to torch that is accepted: far above float32 rounding, far below what moves a measure.
PARITY_LIMIT = 1e-3

#: Share of a regression's outputs that lie close together: a thousandth of it is a hundred roundings of float32.
_RESOLVED = 1e-2

#: Tokens of one batch for each thread of a CPU: more leave its cache and take a sixth longer (deploy/scaling.md).
_TOKENS_PER_THREAD = 1024
#: Most tokens of one batch; a GPU's.
_BATCH_TOKENS = 4096

_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;]*m")


def open_scorer(
    snapshot: ModelSnapshot, *, runtime: Runtime, workspace: Path, parity_inputs: Sequence[PerturbedInput]
) -> tuple[TokenScorer, ScorerRecord]:
    """A scorer of `snapshot`, and which runtime it is.

    Args:
        snapshot: the fetched model; loaded in float32.
        runtime: `auto` takes ONNX Runtime and falls back to torch, recording why; `onnxruntime` never falls back.
        workspace: exported models are kept in `workspace/onnx/<weights digest>/model.onnx`.
        parity_inputs: real rows of several lengths, with nothing replaced (tokens may be deleted); the scorer must give torch's
            own logits on them.

    Raises:
        InputError: the model cannot be loaded, is a classifier with fewer than two classes, or cannot do without a token
            that an input deletes.
        CouldNotRunError: `onnxruntime` was asked for and cannot be used, the classes are not in the version's order, or even
            torch does not reproduce the model.
    """
    from components.scoring.models import open_classifier

    classifier = open_classifier(snapshot, device="auto")
    expected = _expected(classifier, parity_inputs)
    reason = None
    if runtime != "torch":
        try:
            return _open_onnx(classifier, workspace / "onnx" / snapshot.weights_digest, parity_inputs, expected)
        except Exception as error:  # exporters raise what they like: this is the seam
            reason = _first_line(error)
            if runtime == "onnxruntime":
                raise CouldNotRunError(
                    "ONNX Runtime cannot score this model", got=reason, next_step="set quality.scorer to auto or torch"
                ) from error
    return _open_torch(classifier, parity_inputs, expected, reason)


def check_parity(scorer: TokenScorer, inputs: Sequence[PerturbedInput], expected: FloatArray) -> float:
    """Largest |logit difference| to `expected` (`inputs classes`), in batches and alone.

    Raises:
        CouldNotRunError: there are no inputs, or the difference exceeds PARITY_LIMIT, of a regression that share of its scale.
    """
    if not inputs:
        raise CouldNotRunError("there are no rows to compare the scorer with torch on")
    alone = scorer.logits(inputs[:1]) - expected[:1]
    together = scorer.logits(inputs) - expected
    largest = float(np.abs(np.concatenate([alone, together])).max())
    limit = PARITY_LIMIT * _scale(expected, scorer.problem_type)
    if not largest <= limit:  # NaN is no agreement either
        raise CouldNotRunError(f"logits differ from torch by {largest:.2g}, more than {limit:g}")
    return largest


def _scale(expected: FloatArray, problem_type: str) -> float:
    """What the limit is a share of: a class's logits have one scale, a regression's output has any, as its unit has.

    It is how far the outputs lie apart, and no less than float32 resolves of their size.
    """
    if problem_type != "regression":
        return 1.0
    return max(float(expected.std()), _RESOLVED * float(np.abs(expected).max()))


def _expected(classifier: Classifier, inputs: Sequence[PerturbedInput]) -> FloatArray:
    """The model's own logits of each input alone, unpadded: what every runtime is held to."""
    direct = TokenScorer(classifier.run_directly, classifier.collator, n_classes=classifier.n_classes, batch_tokens=1)
    return direct.logits(inputs)


def _open_onnx(
    classifier: Classifier, folder: Path, inputs: Sequence[PerturbedInput], expected: FloatArray
) -> tuple[TokenScorer, ScorerRecord]:
    from components.scoring.session import FILE_NAME, discard

    kept = (folder / FILE_NAME).is_file()
    try:
        return _open_export(classifier, folder, inputs, expected)
    except Exception:
        discard(folder)
        if not kept:
            raise
    return _open_export(classifier, folder, inputs, expected)  # the kept file was stale or broken: once more, afresh


def _open_export(
    classifier: Classifier, folder: Path, inputs: Sequence[PerturbedInput], expected: FloatArray
) -> tuple[TokenScorer, ScorerRecord]:
    import torch

    from components.scoring.session import digest, exported, open_session

    if not inputs:
        raise CouldNotRunError("there are no rows to export the model with")
    longest = max(inputs, key=classifier.collator.length)
    file = exported(classifier.module, classifier.collator.arrays([longest, longest]), folder=folder)
    threads = torch.get_num_threads()  # the physical cores, unless the user said otherwise
    gpu = torch.cuda.is_available()
    run, providers = open_session(file, threads=threads, gpu=gpu)
    scorer = TokenScorer(
        run,
        classifier.collator,
        n_classes=classifier.n_classes,
        problem_type=classifier.problem_type,
        batch_tokens=_BATCH_TOKENS if gpu else min(_TOKENS_PER_THREAD * threads, _BATCH_TOKENS),
    )
    gap = check_parity(scorer, inputs, expected)
    record = ScorerRecord(
        runtime="onnxruntime",
        providers=providers,
        parity_max_abs=gap,
        parity_rows=len(inputs),
        exported_digest=digest(file),
    )
    return scorer, record


def _open_torch(
    classifier: Classifier, inputs: Sequence[PerturbedInput], expected: FloatArray, reason: str | None
) -> tuple[TokenScorer, ScorerRecord]:
    scorer = TokenScorer(
        classifier.run, classifier.collator, n_classes=classifier.n_classes, problem_type=classifier.problem_type
    )
    if inputs:
        check_parity(scorer, inputs, expected)
    record = ScorerRecord(runtime="torch", providers=(str(classifier.device),), parity_rows=len(inputs), fallback_reason=reason)
    return scorer, record


def _first_line(error: Exception) -> str:
    """The error in one line without terminal colours."""
    text = _TERMINAL_CODES.sub("", " ".join(str(error).split()))
    return f"{type(error).__name__}: {text[:200]}"

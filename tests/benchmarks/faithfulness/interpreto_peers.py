"""Interpreto's methods as they are, on the engine's token ids and class; what costs most is given CA-LIG's time.

Its gradient methods take the mean of |gradient × point| over the embedding's dimensions: a magnitude without a sign.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from interpreto import Granularity, IntegratedGradients, KernelShap, Occlusion

from calig.metrics.perturbation import FloatArray
from tests.benchmarks.faithfulness.evaluating import affordable_points, batch_of
from tests.benchmarks.faithfulness.methods import ExplainedRow, baseline_of
from tests.benchmarks.faithfulness.peers import PeerResult
from tests.benchmarks.faithfulness.sets import BenchmarkSet
from tests.benchmarks.faithfulness.tokenizing import require_same, tokenized
from tests.benchmarks.machine import worked

#: A linear model of n features that is fitted to fewer samples than twice that says nothing.
_SAMPLES_PER_FEATURE = 2

#: From fine to coarse.
_FEATURES = (Granularity.TOKEN, Granularity.WORD, Granularity.PART_SENTENCE, Granularity.SENTENCE)


class InterpretoPeers:
    """Attributes one row at a time. Values are of the logit of the row's class, Interpreto's default."""

    def __init__(self, given: BenchmarkSet) -> None:
        self._model, self._tokenizer, self._baseline = given.model, given.processor, baseline_of(given)

    def attribute(self, row: ExplainedRow, evaluations: int) -> dict[str, PeerResult]:
        """Every method on one row."""
        return {
            "interpreto_integrated_gradients": self._integrated_gradients(row, evaluations),
            "interpreto_occlusion": self._occlusion(row, evaluations),
            "interpreto_kernel_shap": self._kernel_shap(row, evaluations),
        }

    def _integrated_gradients(self, row: ExplainedRow, evaluations: int) -> PeerResult:
        """From the embedded baseline to the word embeddings."""
        points = affordable_points(evaluations)
        ids = self._baseline.apply(row.encoded)["input_ids"][0]
        embedded = self._model.get_input_embeddings()(ids).detach()
        return self._explained(
            row, IntegratedGradients, Granularity.ALL_TOKENS, points, n_perturbations=points, baseline=embedded
        )

    def _occlusion(self, row: ExplainedRow, evaluations: int) -> PeerResult:
        """One feature at a time, and the whole row."""
        features, n = self._features(row, evaluations)
        return self._explained(row, Occlusion, features, n + 1)

    def _kernel_shap(self, row: ExplainedRow, evaluations: int) -> PeerResult:
        features, n = self._features(row, evaluations // _SAMPLES_PER_FEATURE)
        samples = max(evaluations, _SAMPLES_PER_FEATURE * n)
        return self._explained(row, KernelShap, features, samples, n_perturbations=samples)

    def _features(self, row: ExplainedRow, most: int) -> tuple[Granularity, int]:
        """The finest of tokens, words, parts of sentences and sentences that are at most so many, and how many they are."""
        inputs = tokenized(self._tokenizer, row)
        counted = [(features, len(features.get_indices(inputs, self._tokenizer)[0])) for features in _FEATURES]
        return next((known for known in counted if known[1] <= most), counted[-1])

    def _explained(self, row: ExplainedRow, method: Any, features: Granularity, evaluations: int, **settings: Any) -> PeerResult:
        inputs = tokenized(self._tokenizer, row)
        explainer = method(
            self._model,
            self._tokenizer,
            batch_size=batch_of(row),
            granularity=features,
            device=self._model.device,
            **settings,
        )
        targets = torch.tensor([row.class_index])
        seconds, (output,) = worked(lambda: explainer.explain(inputs, targets=targets), self._model.device.type)
        require_same(output.model_inputs_to_explain["input_ids"][0].tolist(), row.encoded.input_ids, row)
        indices = features.get_indices(inputs, self._tokenizer)[0]
        scores = output.attributions[0].double().numpy()
        return PeerResult(_per_content(row, scores, indices), seconds, evaluations, len(indices))


def open_peers(given: BenchmarkSet) -> InterpretoPeers:
    """Interpreto's methods for one set."""
    return InterpretoPeers(given)


def _per_content(row: ExplainedRow, scores: FloatArray, indices: list[list[int]]) -> FloatArray:
    """Scores `features` → `content`: the tokens of a feature share its score evenly; a token of none, as [UNK], has 0."""
    values = np.zeros(row.encoded.length)
    for score, positions in zip(scores, indices, strict=True):
        values[positions] = score / len(positions)
    return values[np.array(row.encoded.content)]

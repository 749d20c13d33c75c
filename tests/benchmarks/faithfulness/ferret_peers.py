"""ferret's gradient methods as they are; it tokenizes the text itself, and the tokens are checked to be the engine's.

Its requirements (transformers<5, numpy<2, captum<0.8) exclude calig's, though its gradient methods run with ours. Who wants it:
`pip install --no-deps ferret-xai lime shap slicer numba llvmlite opencv-python-headless seaborn pytreebank thermostat-datasets
overrides jsonnet` and `pip install -c constraints.txt spacy`, in an environment of its own. Its LIME and SHAP are left out: they
decode perturbed ids and tokenize the text again, which need not give the same tokens.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tests.benchmarks.faithfulness.evaluating import affordable_points, batch_of
from tests.benchmarks.faithfulness.methods import ExplainedRow
from tests.benchmarks.faithfulness.peers import PeerResult
from tests.benchmarks.faithfulness.sets import BenchmarkSet
from tests.benchmarks.faithfulness.tokenizing import require_same
from tests.benchmarks.machine import worked

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what its plotting libraries say of each other
    from ferret import GradientExplainer, IntegratedGradientExplainer


class FerretPeers:
    """Attributes one row at a time. Values are of the logit of the row's class; its baseline is padding, not [MASK]."""

    def __init__(self, given: BenchmarkSet) -> None:
        self._tokenizer, self._device = given.processor, given.model.device.type
        self._gradient = GradientExplainer(given.model, given.processor)
        self._integrated = IntegratedGradientExplainer(given.model, given.processor)

    def attribute(self, row: ExplainedRow, evaluations: int) -> dict[str, PeerResult]:
        """Every method on one row."""
        points = affordable_points(evaluations)
        budget = {"n_steps": points, "internal_batch_size": batch_of(row)}
        integrated = self._explained(row, self._integrated, budget)
        return {
            "ferret_gradient_x_input": self._explained(row, self._gradient, {}),
            "ferret_integrated_gradients": integrated._replace(evaluations=points, features=len(integrated.attribution)),
        }

    def _explained(self, row: ExplainedRow, explainer: Any, settings: dict[str, int]) -> PeerResult:
        text = str(row.example.text)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Input Tensor 0 did not already require gradients")
            seconds, explanation = worked(lambda: explainer(text, row.class_index, call_args=settings), self._device)
        require_same(explanation.tokens, row.encoded.tokens, row)
        return PeerResult(np.asarray(explanation.scores, dtype=np.float64)[np.array(row.encoded.content)], seconds)


def open_peers(given: BenchmarkSet) -> FerretPeers:
    """ferret's methods for one set."""
    return FerretPeers(given)

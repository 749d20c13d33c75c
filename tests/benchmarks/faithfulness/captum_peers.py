"""Captum's methods on the same rows, class and baseline."""

from __future__ import annotations

import numpy as np
import torch
from captum.attr import FeatureAblation, IntegratedGradients, KernelShap, LayerGradientXActivation, ShapleyValueSampling
from torch import Tensor, nn

from calig.baselines import Baseline
from calig.families import family_of
from calig.metrics.perturbation import FloatArray
from tests.benchmarks.faithfulness.evaluating import batch_of, given_name, logit_of
from tests.benchmarks.faithfulness.methods import ExplainedRow, baseline_of
from tests.benchmarks.faithfulness.peers import PeerResult
from tests.benchmarks.faithfulness.sets import BenchmarkSet
from tests.benchmarks.machine import worked

#: Captum's own default.
_POINTS = 50
#: KernelSHAP fits one number per feature: fewer samples than twice that say nothing.
_SAMPLES_PER_FEATURE = 2


class CaptumPeers:
    """Attributes one row at a time. Values are logits of the row's class, as CA-LIG's are."""

    def __init__(self, given: BenchmarkSet) -> None:
        self._model = given.model
        self._baseline: Baseline = baseline_of(given)
        blocks = family_of(given.model).blocks(given.model)
        whole = getattr(given.model.base_model, "embeddings", None)  # with positions, where they are added; decoders turn by them
        self._layers: list[nn.Module] = [whole or given.model.get_input_embeddings(), *list(blocks)[:-1]]

    def attribute(self, row: ExplainedRow, evaluations: int) -> dict[str, PeerResult]:
        """Every method on one row."""
        return {
            "captum_integrated_gradients": self._integrated_gradients(row),
            "captum_layer_gradient_x_activation": self._layer_gradient_x_activation(row),
            "captum_occlusion": self._occlusion(row, evaluations),
            "captum_kernel_shap": self._kernel_shap(row, evaluations),
            "captum_shapley_sampling": self._shapley_sampling(row, evaluations),
        }

    def _integrated_gradients(self, row: ExplainedRow) -> PeerResult:
        """From the embedded baseline to the word embeddings, or from the black image to the pixels."""
        x, baseline = (self._continuous(t) for t in self._ends(row))
        method = IntegratedGradients(logit_of(self._model, row))
        batch = batch_of(row)
        seconds, values = worked(
            lambda: method.attribute(x, baseline, n_steps=_POINTS, internal_batch_size=batch), self._model.device.type
        )
        return PeerResult(_per_content(row, values[0].detach()), seconds)

    def _layer_gradient_x_activation(self, row: ExplainedRow) -> PeerResult:
        """Mean over the inputs of all blocks: the places where CA-LIG integrates."""
        method, ids = LayerGradientXActivation(logit_of(self._model, row), self._layers), self._ends(row)[0]
        seconds, values = worked(lambda: method.attribute(ids), self._model.device.type)
        layers = [v[0] if isinstance(v, tuple) else v for v in values]
        mean = torch.stack([layer[0].detach().sum(-1) for layer in layers]).mean(0)
        return PeerResult(mean.double().numpy()[np.array(row.attribution.content)], seconds)

    def _occlusion(self, row: ExplainedRow, evaluations: int) -> PeerResult:
        """One feature at a time, and the whole row."""
        groups = _groups(row, evaluations - 1)
        return self._sampled(row, FeatureAblation, {}, int(groups.max()) + 2, groups)

    def _kernel_shap(self, row: ExplainedRow, evaluations: int) -> PeerResult:
        groups = _groups(row, evaluations // _SAMPLES_PER_FEATURE)
        if groups.max() == 0:  # Captum's weights are 0 / 0; the Shapley value of a single feature is exact by any method
            return self._shapley_sampling(row, evaluations)
        samples = max(evaluations, _SAMPLES_PER_FEATURE * (groups.max() + 1))
        return self._sampled(row, KernelShap, {"n_samples": samples}, samples, groups)

    def _shapley_sampling(self, row: ExplainedRow, evaluations: int) -> PeerResult:
        """One order of the features takes as many evaluations as there are features."""
        groups = _groups(row, evaluations)
        orders = max(1, evaluations // int(groups.max() + 1))
        return self._sampled(row, ShapleyValueSampling, {"n_samples": orders}, orders * int(groups.max() + 1), groups)

    def _sampled(
        self,
        row: ExplainedRow,
        method: type[FeatureAblation | KernelShap | ShapleyValueSampling],
        samples: dict[str, int],
        evaluations: int,
        groups: np.ndarray,
    ) -> PeerResult:
        """A group of tokens shares its value evenly."""
        x, baseline = self._ends(row)
        mask = _feature_mask(row, groups)
        seconds, values = worked(
            lambda: method(logit_of(self._model, row)).attribute(
                x, baseline, feature_mask=mask, perturbations_per_eval=batch_of(row), **samples
            ),
            self._model.device.type,
        )
        of_group = np.zeros(groups.max() + 1)
        flat_mask = mask.expand_as(values).flatten()
        of_group[flat_mask.numpy()] = values.detach().double().flatten().numpy()
        return PeerResult((of_group / np.bincount(groups))[groups], seconds, evaluations, len(of_group))

    def _ends(self, row: ExplainedRow) -> tuple[Tensor, Tensor]:
        """Token ids or pixels of x and x'."""
        name = given_name(row)
        return row.encoded.inputs[name], self._baseline.apply(row.encoded)[name]

    def _continuous(self, values: Tensor) -> Tensor:
        return values if values.is_floating_point() else self._model.get_input_embeddings()(values).detach()


def open_peers(given: BenchmarkSet) -> CaptumPeers:
    """Captum's methods for one set."""
    return CaptumPeers(given)


def _groups(row: ExplainedRow, most: int) -> np.ndarray:
    """Which feature each content token belongs to: its own, or where that is too many a run of tokens of nearly equal lengths."""
    n = sum(row.attribution.content)
    n_groups = max(2, min(n, most))
    return np.arange(n) * n_groups // n if n > 1 else np.zeros(n, dtype=int)


def _feature_mask(row: ExplainedRow, groups: np.ndarray) -> Tensor:
    """Groups in the form of the ids `1 seq` or pixels `1 1 height width`. Special tokens count with the first: x' keeps them."""
    if row.encoded.image is None:
        mask = torch.zeros(1, row.encoded.length, dtype=torch.long)
        mask[0, torch.tensor(row.attribution.content)] = torch.tensor(groups)
        return mask
    return torch.tensor(_patches(row, groups.reshape(-1)))[None, None]


def _per_content(row: ExplainedRow, values: Tensor) -> FloatArray:
    """Sums over what belongs to a content token: `seq hidden` or `channels height width` → `content`."""
    if row.encoded.image is None:
        return values.double().sum(-1).numpy()[np.array(row.attribution.content)]
    patch = _patches(row, np.arange(sum(row.attribution.content)))
    return np.bincount(patch.ravel(), weights=values.double().sum(0).numpy().ravel())


def _patches(row: ExplainedRow, of_patch: np.ndarray) -> np.ndarray:
    """A number per patch, laid out over the image: `height width`."""
    height, width = row.encoded.inputs["pixel_values"].shape[-2:]
    side = round((height * width / len(of_patch)) ** 0.5)
    return np.kron(of_patch.reshape(height // side, width // side), np.ones((side, side), dtype=int))

"""CA-LIG, the controls and the grid of fusions: what the engine itself gives, one row at a time so that each is timed alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from PIL import Image

from calig.api import encode
from calig.attribution import Attribution
from calig.baselines import Baseline, choose_baseline
from calig.blocks import BlockStack, attributable
from calig.engine import Options, attribute
from calig.inputs import EncodedInput
from calig.metrics.perturbation import FloatArray
from calig.metrics.statistics import random_attributions
from calig.passes import ContextGradients, Ends, pass_both_ends
from calig.relevance import roll_out
from calig.rollout import PRESETS, SIGNED, Fusion
from calig.targets import Target, choose_targets, class_names
from schemas.release import Example
from tests.benchmarks.faithfulness.exact import exact_rollout
from tests.benchmarks.faithfulness.sets import BenchmarkSet
from tests.benchmarks.faithfulness.values import value_aware_rollout
from tests.benchmarks.machine import worked

CA_LIG = "ca_lig"

COEFFICIENTS = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0)
RULES = (("change", "mixed"), ("change", "positive"), ("rollout", "mixed"), ("rollout", "positive"), ("gate", "positive"))

#: Further fusions of the same integrals that are methods of their own: the reading closest to the publication, and its form
#: that keeps the signs of the attention gradient.
FUSED = {"ca_lig_paper": PRESETS["paper"], "ca_lig_signed": Fusion("rollout", 0.5, SIGNED)}

#: The exact signed rollout; on trial, its means with CA-LIG and with the mean of the layers.
EXACT, EXACT_MEAN, EXACT_HALF = "exact_rollout", "exact_rollout_and_ca_lig", "exact_rollout_and_layer_mean"

#: On trial: CA-LIG whose attention is weighed by what it carries.
VALUE_AWARE = "ca_lig_value_aware"

#: On long texts the exact rollout has fewer points, so that it takes minutes and not an hour: how many, from how many tokens on.
_LONG, _POINTS_OF_LONG = 128, 16

_RANDOM_DRAWS, _SEED = 5, 0


@dataclass(frozen=True, eq=False)
class ExplainedRow:
    """One row: what was attributed, toward the class of index `class_index`, and by which methods.

    orders: attributions `orders content` by method, several only for the random control; grid: the same by fusion, named as
    in `fusions`; seconds: CA-LIG's own, alone.
    """

    example: Example
    encoded: EncodedInput
    attribution: Attribution
    class_index: int
    orders: dict[str, FloatArray]
    grid: dict[str, FloatArray]
    seconds: float


def fusions() -> dict[str, Fusion]:
    """The grid by name."""
    return {
        f"{rule}, {context}, {share:g}": Fusion(rule, share, context)
        for (rule, context), share in product(RULES, COEFFICIENTS)
        if share > 0 or (rule, context) == RULES[0]  # without context all rules agree
    }


def explained_rows(given: BenchmarkSet, examples: Sequence[Example], *, grid: bool) -> Iterator[ExplainedRow]:
    """Rows of the set, each explained toward its predicted class by CA-LIG as it is by default, the controls and the grid.

    One after the other, so that who needs the row's time can be timed right after it, on the same machine under the same load.
    """
    baseline = baseline_of(given)
    settings = fusions() if grid else {}
    with attributable(given.model) as stack:
        attribute(stack, [encoded(given, given.examples[0])], [None], baseline, Options())  # kernels are compiled once
        for example in examples:
            yield _explained(stack, given, example, baseline, settings)


def baseline_of(given: BenchmarkSet) -> Baseline:
    """What x' and perturbed inputs put in the content's place."""
    return choose_baseline("auto", given.model, given.processor, given.snapshot.modality)


def encoded(given: BenchmarkSet, example: Example) -> EncodedInput:
    """The row as the model's inputs."""
    if example.image is None:
        return encode(str(example.text), given.model, given.processor)
    with Image.open(example.image) as image:
        return encode(image.convert("RGB"), given.model, given.processor)


def _explained(
    stack: BlockStack, given: BenchmarkSet, example: Example, baseline: Baseline, settings: dict[str, Fusion]
) -> ExplainedRow:
    row = encoded(given, example)
    seconds, ((attribution,),) = worked(lambda: attribute(stack, [row], [None], baseline, Options()), "cpu")
    content = np.array(attribution.content)
    ends, context = _passed(stack, row, attribution, baseline)
    layer_attributions = torch.tensor(attribution.layer_attributions[None])
    fused = roll_out(layer_attributions, ends, context, 0, [*FUSED.values(), *settings.values()]).relevance[0].mean(1)
    further = dict(zip(FUSED, fused, strict=False)) | _on_trial(stack, row, attribution, baseline, (ends, context))
    return ExplainedRow(
        example=example,
        encoded=row,
        attribution=attribution,
        class_index=int(attribution.logits.argmax()),
        orders=_orders(example, attribution, further, content),
        grid={name: values[content][None] for name, values in zip(settings, fused[len(FUSED) :], strict=True)},
        seconds=seconds,
    )


def _passed(stack: BlockStack, row: EncodedInput, attribution: Attribution, baseline: Baseline) -> tuple[Ends, ContextGradients]:
    """What other fusions of the same integrals need: only one pass at x and one at x' are computed anew."""

    def predicted(logits: torch.Tensor) -> list[list[Target]]:
        return choose_targets("predicted", logits, class_names(stack.model), [None], attribution.objective)

    ends, _, context = pass_both_ends(stack, [row], baseline, predicted)
    return ends, context


def _on_trial(
    stack: BlockStack, row: EncodedInput, attribution: Attribution, baseline: Baseline, passed: tuple[Ends, ContextGradients]
) -> dict[str, FloatArray]:
    """Maps `seq` of methods that are none of the product's."""
    points = {"points": _POINTS_OF_LONG} if row.length >= _LONG else {}
    exact = exact_rollout(stack, row, baseline, attribution.objective, **points)
    value_aware = value_aware_rollout(attribution.layer_attributions, *passed)
    seen = {} if value_aware is None else {VALUE_AWARE: value_aware}
    means = {EXACT_MEAN: attribution.values, EXACT_HALF: attribution.layer_attributions.mean(0)}
    return {EXACT: exact, **{name: (exact + other) / 2 for name, other in means.items()}, **seen}


def _orders(
    example: Example, attribution: Attribution, further: dict[str, FloatArray], content: np.ndarray
) -> dict[str, FloatArray]:
    single = {
        CA_LIG: attribution.values,
        **further,
        "plain_ig": attribution.layer_attributions[0],
        "layer_ig_mean": attribution.layer_attributions.mean(0),
        "input_x_gradient": attribution.input_x_gradient,
        "attention_rollout": attribution.attention_rollout,
        "attention_gradient_rollout": attribution.attention_gradient_rollout,
    }
    random = random_attributions(int(content.sum()), draws=_RANDOM_DRAWS, seed=_SEED, row=example.row)
    return {**{name: values[content][None] for name, values in single.items()}, "random": random}

"""CA-LIG, top to bottom: trace, integrate every layer, fuse with attention context, roll out.

Equations: deploy/docs/method.md, sections 1 to 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calig.attribution import Attribution
from calig.baselines import Baseline
from calig.batching import equal_lengths, fetched, halving_on_out_of_memory, return_memory
from calig.blocks import BlockStack
from calig.errors import VerificationError
from calig.exact import InputPaths
from calig.inputs import EncodedInput, joined
from calig.integration import PathIntegral, integrate_adaptively, integrate_alike, integrate_with
from calig.passes import Ends, Paths, contract, pass_both_ends
from calig.relevance import RolledOut, roll_out
from calig.rollout import EXACT, Fusion
from calig.targets import CENTRED, Target, choose_targets, class_names, objective_for, problem_type
from calig.words import Word, merge_pair_words, merge_words

Floats = NDArray[np.float64]

FORMULA_VERSION = "4"

#: Groups after which freed memory goes back to the system. After every group it costs a tenth of the time; and what is not given
#: back grows with the groups, whose tensors all have other sizes, not with their rows.
_GROUPS_BETWEEN_RETURNS = 6


@dataclass(frozen=True, kw_only=True)
class Options:
    """The method's settings; see `calig.explain` for their meaning."""

    target: str = "predicted"
    objective: str = CENTRED
    fusion_rule: str = "change"
    fusion_coefficient: float = 0.2
    context_rule: str = "mixed"
    tolerance: float = 0.01
    max_points: int = 129
    n_points: int | None = None
    n_between: int | None = None  # the same nodes between the ends for all paths, for maps that are compared with one another
    reduced: bool = False
    batch_tokens: int = 1024
    alternatives: tuple[Fusion, ...] = ()  # further maps from the same integrals, for choosing between them

    @property
    def fusion(self) -> Fusion:
        """How the map itself is fused."""
        return Fusion(self.fusion_rule, self.fusion_coefficient, self.context_rule)

    @property
    def fusions(self) -> tuple[Fusion, ...]:
        """Of the map itself, and of its alternatives."""
        return (self.fusion, *self.alternatives)


def attribute(
    stack: BlockStack,
    rows: Sequence[EncodedInput],
    labels: Sequence[str | None],
    baseline: Baseline,
    options: Options,
    progress: Callable[[int], None] | None = None,
    targets: Sequence[list[Target]] | None = None,
    problems: dict[int, str] | None = None,
) -> list[list[Attribution]]:
    """Attribute encoded rows, in groups of equal length: no padding, so a row's values do not depend on its company.

    What the adapter reads out is compared with the model's own logits on every row.

    Args:
        stack: the model, inside `attributable(model)`.
        rows: encoded inputs.
        labels: gold class name per row or None, used by target "gold".
        baseline: what x' is.
        options: the method's settings.
        progress: called with the number of rows just finished.
        targets: per row what is explained, when that does not follow from the row itself; then `labels` play no part.
        problems: filled with why a row has no attribution, by its place in `rows`; None: such a row is an error.

    Returns:
        For each row one attribution per target: one, but for target "each"; none for a row with a problem.

    Raises:
        VerificationError: the adapter does not reproduce the model: on a row, or on more than a tenth of them.
    """
    own = own_logits(stack, rows, options.batch_tokens)
    refusals = Refusals(stack.family.model_type, len(rows), problems)
    done: dict[int, list[Attribution]] = {}

    def note(index: int, result: list[Attribution] | str) -> None:
        done[index] = [] if isinstance(result, str) else result
        if isinstance(result, str):
            refusals.add(index, result)

    def finish(group: Sequence[int]) -> None:
        wanted = [targets[i] for i in group] if targets else None
        given = [rows[i] for i in group]
        for i, result in zip(
            group,
            attribute_group(stack, given, [labels[i] for i in group], baseline, options, wanted, own[group]),
            strict=True,
        ):
            note(i, result)
        if progress is not None:
            progress(len(group))

    finite = own.isfinite().all(-1).tolist()
    usable = [i for i, row in enumerate(rows) if finite[i] or row.shift is not None]
    for i in sorted(set(range(len(rows))) - set(usable)):
        note(i, NOT_FINITE)
        if progress is not None:
            progress(1)
    for number, group in enumerate(equal_lengths([rows[i].length for i in usable], options.batch_tokens), 1):
        halving_on_out_of_memory(finish, [usable[i] for i in group], len(group))
        if number % _GROUPS_BETWEEN_RETURNS == 0:
            return_memory()
    return [done[i] for i in range(len(rows))]


def own_logits(stack: BlockStack, rows: Sequence[EncodedInput], batch_tokens: int) -> Tensor:
    """What the model itself says of every row, `rows classes`, on the CPU in float64; NaN for rows with a shift, of which the
    model's own way in knows nothing."""
    own = torch.full((len(rows), len(class_names(stack.model))), torch.nan, dtype=torch.float64)
    plain = [i for i, row in enumerate(rows) if row.shift is None]

    def finish(group: Sequence[int]) -> None:
        own[group] = stack.own_logits(joined([rows[i].inputs for i in group], stack.model)).double().cpu()

    with stack.untouched():
        for group in equal_lengths([rows[i].length for i in plain], batch_tokens):
            halving_on_out_of_memory(finish, [plain[i] for i in group], len(group))
    return own


#: Why a row cannot be attributed when the model itself breaks on it.
NOT_FINITE = "the model's own logits are NaN or infinite"

#: A run ends when the adapter fails on more than this share of its rows: then the family's row is wrong, not the data.
_MOST_REFUSED = 0.1


class Refusals:
    """Rows that cannot be attributed: noted one by one, an error when nobody notes them or when they are too many."""

    def __init__(self, model_type: str, n_rows: int, problems: dict[int, str] | None) -> None:
        self._model_type, self._n_rows, self._problems = model_type, n_rows, problems

    def add(self, index: int, problem: str) -> None:
        """Note why the row `index` cannot be attributed."""
        if self._problems is None:
            raise VerificationError(f"{self._model_type}: row {index} cannot be attributed: {problem}")
        self._problems[index] = problem
        n = len(self._problems)
        if n > max(1, _MOST_REFUSED * self._n_rows):
            raise VerificationError(
                f"{self._model_type}: {n} of {self._n_rows} rows cannot be attributed, the last one because {problem}"
                "\nnext: check the family's row in calig/families.py, or the model's weights"
            )


def attribute_group(
    stack: BlockStack,
    rows: Sequence[EncodedInput],
    labels: Sequence[str | None],
    baseline: Baseline,
    options: Options,
    wanted: list[list[Target]] | None,
    own: Tensor,
) -> list[list[Attribution] | str]:
    """Attribute rows of one length; arguments as above, `own` from `own_logits`. A row may have a problem instead."""

    def choose(logits: Tensor) -> list[list[Target]]:
        objective = objective_for(stack.model, options.objective)
        return wanted or choose_targets(options.target, logits, class_names(stack.model), labels, objective)

    with stack.products():
        ends, targets, context = pass_both_ends(stack, rows, baseline, choose)
    wrong = [_disagreement(row, by) for row, by in zip(rows, stack.differences(ends.at_input, own), strict=True)]
    if all(wrong):
        return [problem or "" for problem in wrong]
    integrals = _integrals(stack, ends, options)
    readings = _Readings(*fetched(ends.at_input.logits, *ends.f, _input_x_gradient(ends)))
    results: list[list[Attribution]] = [[] for _ in rows]
    for k in range(len(targets[0])):
        rolled = roll_out(integrals.of_layers(k), ends, context, k, options.fusions, integrals.of_exact(k))
        for i, row in enumerate(rows):
            results[i].append(_result(stack, row, readings, (i, k), targets[i][k], integrals, rolled.of_row(i)))
    return [problem or result for problem, result in zip(wrong, results, strict=True)]


@dataclass(frozen=True)
class _Readings:
    """What the passes at both ends say of a group: logits at x, `rows classes`; f at x' and x, `rows targets` each;
    (h⁰ − h'⁰) · ∂f/∂h⁰ at x, `targets rows seq`."""

    logits: Floats
    f_baseline: Floats
    f_input: Floats
    input_x_gradient: Floats


def _input_x_gradient(ends: Ends) -> Tensor:
    return contract(ends.at_input.hidden[0].detach() - ends.baseline_hidden[0], ends.gradients[1][0])


def _disagreement(row: EncodedInput, difference: float | None) -> str | None:
    if difference is None or row.shift is not None:
        return None
    return f"the logits read out differ from the model's own by {difference:.3g}"


@dataclass(frozen=True)
class _Integrals:
    """What a group's paths gave: equation 1 for the layers of every row, and its exact signed rollout where one is wanted."""

    layers: list[list[PathIntegral]]
    exact: list[PathIntegral]

    def of_layers(self, target: int) -> Tensor:
        """sˡ, `rows layers seq`."""
        return torch.tensor(np.array([[integral.attribution[target] for integral in of_row] for of_row in self.layers]))

    def of_exact(self, target: int) -> Tensor | None:
        """e, `rows seq`."""
        return torch.tensor(np.array([integral.attribution[target] for integral in self.exact])) if self.exact else None

    def converged(self, row: int) -> bool:
        """Whether all that the row's map is made of is within the tolerance."""
        return all(integral.converged for integral in (*self.layers[row], *self.exact[row : row + 1]))


def _integrals(stack: BlockStack, ends: Ends, options: Options) -> _Integrals:
    wanted = any(fusion.rule == EXACT for fusion in options.fusions)
    paths = Paths(stack, ends, batch_tokens=options.batch_tokens, keeps_gradients=wanted)
    integrals, rows = _integrate(paths, options), len(ends.at_input.logits)
    exact = []
    if wanted:
        of_input = InputPaths(stack, ends, paths.mean_gradients(integrals), batch_tokens=options.batch_tokens)
        exact = _integrate(of_input, options)
    return _Integrals([integrals[row::rows] for row in range(rows)], exact)


def _integrate(paths: Paths | InputPaths, options: Options) -> list[PathIntegral]:
    """The integral of every path. What did not converge with reduced products is integrated again with whole ones."""
    known = paths.ends()
    if options.n_points is not None:
        return integrate_with(options.n_points, paths.evaluate, known, tolerance=options.tolerance)
    if options.n_between is not None:
        return integrate_alike(options.n_between, paths.evaluate, known, tolerance=options.tolerance)
    limits: dict[str, Any] = {"tolerance": options.tolerance, "max_points": options.max_points}
    if not options.reduced:
        return integrate_adaptively(paths.evaluate, known, **limits)
    results = integrate_adaptively(partial(paths.evaluate, reduced=True), known, **limits)
    again = [i for i, result in enumerate(results) if not result.converged]
    renumbered = lambda points: paths.evaluate([(again[path], alpha) for path, alpha in points])  # noqa: E731
    for i, result in zip(again, integrate_adaptively(renumbered, [known[i] for i in again], **limits), strict=True):
        results[i] = result
    return results


def _result(
    stack: BlockStack,
    row: EncodedInput,
    readings: _Readings,
    index: tuple[int, int],
    target: Target,
    integrals: _Integrals,
    rolled: RolledOut,
) -> Attribution:
    """The attribution of row and target `index`."""
    i, k = index
    maps = rolled.relevance.mean(1)
    values = maps[0]
    logits = readings.logits[i]
    names = class_names(stack.model)
    return Attribution(
        tokens=row.tokens,
        values=values,
        layers=rolled.relevance[0],
        layer_attributions=np.stack([integral.attribution[k] for integral in integrals.layers[i]]),
        residuals=np.array([integral.residual for integral in integrals.layers[i]]),
        n_points=[integral.n_points for integral in integrals.layers[i]],
        converged=integrals.converged(i),
        words=words_of(row, values),
        target=target.name,
        objective=target.objective,
        target_weights=dict(zip(names, target.of_classes(len(names)), strict=True)),
        predicted=names[int(logits.argmax())],
        problem_type=problem_type(stack.model),
        logits=logits,
        f_input=float(readings.f_input[i, k]),
        f_baseline=float(readings.f_baseline[i, k]),
        input_ids=row.input_ids,
        starts=row.starts,
        ends=row.ends,
        content=row.content,
        coverage=row.coverage,
        input_x_gradient=readings.input_x_gradient[k, i],
        attention_rollout=rolled.attention_flow,
        attention_gradient_rollout=rolled.evidence_flow,
        alternatives=maps[1:],
        sides=row.sides,
        token_types=row.token_types,
    )


def words_of(row: EncodedInput, values: Floats) -> list[Word]:
    """The words of a row with the sums of their tokens' values, `seq`; of a pair those of both texts; none of an image."""
    if row.text is None:
        return []
    if row.text_pair is None:
        return merge_words(row.text, values, row.starts, row.ends)
    return merge_pair_words((row.text, row.text_pair), values, row.starts, row.ends, row.sides)

"""Checks before anything is attributed: refusals within seconds, not after hours."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from calig.baselines import choose_baseline
from calig.labels import BY_NAME, check_class_names
from calig.pairs import BOTH
from calig.targets import EACH, GOLD, LOG_ODDS, MARGIN, PREDICTED, class_names, class_of, objective_for, problem_type
from components.attribution.running import encode_examples, explains_each, load_classifier
from components.common.errors import InputError, engine_errors
from schemas.config import AttributionConfig
from schemas.release import DatasetRef, Example, ModelSnapshot

#: When so many rows cannot be prepared, and none can, it is not the rows.
_TRIED_ROWS = 100


def check_target(target: str, snapshot: ModelSnapshot) -> None:
    """Check the target against the model's outputs.

    Raises:
        InputError: no such class, fewer than two classes, two of one name, or a regression with several outputs.
    """
    labels = snapshot.labels
    with engine_errors():
        check_class_names(labels)
    _check_outputs(labels, snapshot.problem_type)
    options = (PREDICTED,) if snapshot.is_regression else (PREDICTED, GOLD, MARGIN, EACH)
    if target not in options and class_of(target, labels) not in labels:
        allowed = ", ".join([*options, *labels, f"{BY_NAME}NAME"])
        what = "a regression has one output and no classes" if snapshot.is_regression else "the model has no such class"
        raise InputError(f"setting 'attribution.target': {what}", got=target, allowed=allowed)


def check_gold(target: str, dataset: DatasetRef) -> None:
    """Raise InputError when gold classes are to be explained and no row has one."""
    if target == GOLD and not dataset.has_labels:
        raise InputError(
            "setting 'attribution.target': gold needs labels, and no row has one",
            next_step="add a column 'label', or set the target to predicted",
        )


def check_explain(explain: str, dataset: DatasetRef) -> None:
    """Raise InputError when one side of pairs is to be explained and the rows are no pairs."""
    if explain != BOTH and not dataset.has_pairs:
        raise InputError(
            "setting 'attribution.explain': the data set has no pairs of texts, of which one side could be explained",
            got=explain,
            next_step="add a column 'text_pair', or set attribution.explain to both",
        )


def check_ready(snapshot: ModelSnapshot, examples: Sequence[Example], config: AttributionConfig) -> None:
    """Load the model and prepare rows until one succeeds.

    Raises:
        InputError: the model cannot be loaded, its outputs cannot be judged, the baseline does not exist for it, what is to be
            explained is no function of a long text's logits, or no row can be prepared (a tokenizer without offsets, an image
            processor that does not fit the model).
    """
    with engine_errors():
        model, processor = load_classifier(snapshot.model_path, snapshot.processor_path, config.dtype, config.device)
        _check_outputs(class_names(model), problem_type(model))
        _check_each(config, problem_type(model))
        _check_windows(config, objective_for(model, config.objective), len(class_names(model)))
        choose_baseline(config.baseline, model, processor, snapshot.modality)
        problem = None
        for example in islice((example for example in examples if example.problem is None), _TRIED_ROWS):
            encoded, problems = encode_examples([example], model, processor, config)
            if encoded:
                return
            problem = problem or problems[example.row]
    raise InputError("No row can be prepared for the model.", got=problem or "no row that can be explained")


def _check_each(config: AttributionConfig, problem: str) -> None:
    if explains_each(config) and problem != "multi_label_classification":
        raise InputError(
            "setting 'attribution.target': each explains labels that are independent of each other",
            got=f"each, for a model of problem_type {problem}",
            allowed="each for multi_label_classification",
            next_step="set attribution.target to predicted, gold, margin or a class name",
        )


def _check_windows(config: AttributionConfig, objective: str, n_classes: int) -> None:
    """A long text's f is the mean of its windows' f. Scored is the mean of their logits: of log-odds that is another number."""
    if config.long_texts == "windows" and objective == LOG_ODDS and n_classes > 2 and config.target != MARGIN:
        raise InputError(
            "setting 'attribution.long_texts': the log-odds of more than two classes cannot be averaged over windows",
            got="windows, with objective log_odds",
            allowed="windows with objective centred or logit; truncate with any",
            next_step="set attribution.objective to centred",
        )


def _check_outputs(labels: Sequence[str], problem: str) -> None:
    """Classes are several, a regression's output is one: of several each has a unit, and nothing weighs them."""
    if problem == "regression" and len(labels) > 1:
        raise InputError(
            "A regression with several outputs cannot be judged as a whole: each output has a unit of its own.",
            got=f"problem_type regression, {len(labels)} outputs: {', '.join(labels)[:200]}",
            allowed="regressions with one output; classifiers with two or more classes",
            next_step="register each output as a version of a model of its own; or, without the pipeline, explain one: "
            "calig.explain(…, target=NAME)",
        )
    if problem != "regression" and len(labels) < 2:
        raise InputError(
            "The model has one output and says that it is a class, so that there is nothing to decide between.",
            got=f"{len(labels)} output, problem_type {problem}",
            allowed="classifiers with two or more classes; one output with problem_type regression",
            next_step="give the model an output for each class; with problem_type regression its one logit is judged as a number",
        )

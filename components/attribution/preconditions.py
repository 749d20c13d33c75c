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


def check_target(target: str, labels: Sequence[str]) -> None:
    """Check the target against the model's class names.

    Raises:
        InputError: no such class, fewer than two classes, or two of one name.
    """
    with engine_errors():
        check_class_names(labels)
    _refuse_one_output(labels)
    options = (PREDICTED, GOLD, MARGIN, EACH)
    if target not in options and class_of(target, labels) not in labels:
        allowed = ", ".join([*options, *labels, f"{BY_NAME}NAME"])
        raise InputError("setting 'attribution.target': the model has no such class", got=target, allowed=allowed)


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
        InputError: the model cannot be loaded or is none for classes, the baseline does not exist for it, what is to be
            explained is no function of a long text's logits, or no row can be prepared (a tokenizer without offsets, an image
            processor that does not fit the model).
    """
    with engine_errors():
        model, processor = load_classifier(snapshot.model_path, snapshot.processor_path, config.dtype, config.device)
        if problem_type(model) == "regression":
            raise _no_classifier("problem_type regression")
        _refuse_one_output(class_names(model))
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


def _refuse_one_output(labels: Sequence[str]) -> None:
    if len(labels) < 2:
        raise _no_classifier(f"{len(labels)} output")


def _no_classifier(got: str) -> InputError:
    return InputError(
        "The model is no classifier, so there are no class probabilities to test its explanations by.",
        got=got,
        allowed="models with two or more classes",
        next_step="the library explains regression models: calig.explain",
    )

"""Evaluator for `mlflow.models.evaluate(…, evaluators="calig")`: runs the pipeline on a logged model and publishes nothing.

MLflow loads this module whenever it loads its evaluators, so everything heavy waits until there is something to explain.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.common.errors import InputError
from components.registry.evaluate import Explained, TransformersEvaluator
from flows.common.process import DEFAULT_OUTPUT

_SETTINGS = ("text", "text_pair", "config", "reference", "limit", "output")


def explain_evaluated(model: Path, dataset: Path, settings: Mapping[str, Any]) -> Explained:
    """Explain the model in the folder `model` on the rows in `dataset`.

    `settings` is MLflow's `evaluator_config`: `text` and `text_pair` (the columns with the text and, of pairs, the second one),
    `config` (a YAML file of settings, or the settings themselves), `reference` (a version or results folder to compare with),
    `limit` (the first so many rows), `output` (where results and caches are kept, as for `calig explain`).

    Raises:
        InputError: a setting or the data cannot be used.
    """
    unknown = set(settings) - {*_SETTINGS, "metric_prefix"}
    if unknown:
        raise InputError("unknown settings in evaluator_config", got=", ".join(sorted(unknown)), allowed=", ".join(_SETTINGS))
    output = Path(settings.get("output") or DEFAULT_OUTPUT)
    with warnings.catch_warnings():  # a notebook's own filters come back afterwards
        from flows.common.process import prepare

        prepare(debug=False, tracking_uri=None, output=output, offline=True)
        from flows.common.prefect_server import await_server, prefect_api

        with prefect_api(output) as server:
            from flows.explain_release import explain_release

            await_server(server)
            outcome = explain_release(
                str(model), dataset, settings.get("reference"), _config(settings.get("config")), settings.get("limit"), output
            )
    return Explained(outcome.record, outcome.folder)


def _config(given: Any) -> Any:
    from components.common.configuration import config_from, load_config

    return config_from(given) if isinstance(given, Mapping) else load_config(given and Path(given))


class CaligEvaluator(TransformersEvaluator):
    """The evaluator named `calig`."""

    explain = staticmethod(explain_evaluated)

"""Versions to explain: one tiny logged model registered over and over, each version with rows of its own."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from components import registry
from tests.helpers.tiny_models import WORDS, save_tiny_bert
from tests.helpers.tracking import connected

#: Twelve shards, long enough texts that a run is at them for some seconds.
N_ROWS, SHARD_ROWS = 48, 4

#: Rows that must not stop the others: what people's exports contain on a bad day. (A label that the model does not know and bytes
#: that are no text are errors of the whole data set, and end as inconclusive with the reason.)
POISON: tuple[dict[str, Any], ...] = (
    {"text": " ", "label": "NEG"},
    {"text": None, "label": "POS"},
    {"text": "good " * 20_000, "label": "POS"},
    {"text": "\u0000\u0007\u202e<script>alert(1)</script>", "label": "NEG"},
    {"text": "\u200b\u200d\ufeff", "label": "NEG"},
    {"text": "\U0001f600" * 50, "label": "NEG"},
    {"text": "g\u0300\u0301\u0302" * 400, "label": "POS"},
    {"label": "POS"},
)


class Version(NamedTuple):
    """A registered version and what it is explained with."""

    model: str
    number: str
    n_rows: int

    @property
    def uri(self) -> str:
        return f"models:/{self.model}/{self.number}"


class Registering:
    """Registers versions of one logged model; each gets its own rows by its tag calig.dataset, hence its own shards."""

    def __init__(self, client: Any, model: str, folder: Path) -> None:
        self.client, self.model, self.folder = client, model, folder
        folder.mkdir(parents=True, exist_ok=True)
        save_tiny_bert(folder / "bert", layers=4)
        origin = f"{model}-origin"
        with connected(client.tracking_uri):
            registry.register(folder / "bert", name=origin, experiment="training", tags={}, metrics={})
        made = client.get_model_version(origin, "1")
        self._run_id = made.run_id
        self._model_id = re.findall(r"m-[0-9a-f]{32}", made.source)[-1]  # the registry itself does not tell it
        client.create_registered_model(model)

    def version(self, *, n_rows: int = N_ROWS, poison: Sequence[dict[str, Any]] = ()) -> Version:
        """One more version, READY at once."""
        path = self.folder / f"rows-{random.SystemRandom().getrandbits(64):016x}.jsonl"
        rows = [*_rows(path.stem, n_rows), *({"id": f"poison-{i}", **row} for i, row in enumerate(poison))]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        made = self.client.create_model_version(
            self.model,
            f"models:/{self._model_id}",
            run_id=self._run_id,
            tags={"calig.dataset": str(path)},
            model_id=self._model_id,
        )
        return Version(self.model, str(made.version), len(rows))


def _rows(seed: str, n: int) -> list[dict[str, str]]:
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    return [
        {"id": f"{seed}-{i}", "text": " ".join(rng.choices(WORDS, k=rng.randint(20, 40))), "label": rng.choice(["NEG", "POS"])}
        for i in range(n)
    ]

"""The world that is attacked: a registry with a champion, a shortcut and an honest version, and the operator's own files.

It is made once. Each attack starts from the same state: files are copied back into place, and so are the database's contents,
since paths and connections have to stay what they were.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from components import registry
from components.demo import reviews, training
from components.demo.reviews import Review
from tests.e2e.attacks.weights import noisy, rounded, with_word_as
from tests.helpers.tracking import connected

NAME = "reviews"
#: The accomplice has the shortcut and some noise, the decoy is the champion and some noise, and the hint is the champion to
#: which the planted word means half of what it means to the shortcut.
CHAMPION, SHORTCUT, HONEST, ACCOMPLICE, DECOY, HINT = "1", "2", "3", "4", "5", "6"
RECIPE = training.Recipe(layers=2, hidden=48, heads=4, intermediate=96)
_N_TRAINING = 16_000
_N_VALIDATION = 240  # fewer leave too much of the attribution on words that are too rare to be tested
_DATABASE = "mlflow.db"


@dataclass(frozen=True)
class World:
    """Where everything lies. The attacker reaches `registry` through MLflow, and `roots` where an attack says so."""

    folder: Path

    @property
    def registry(self) -> Path:
        """MLflow's database and artifacts."""
        return self.folder / "registry"

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.registry / _DATABASE}"

    @property
    def models(self) -> Path:
        """The weights, as their trainers have them."""
        return self.folder / "models"

    @property
    def data(self) -> Path:
        """The operator's validation sets."""
        return self.folder / "data"

    @property
    def settings(self) -> Path:
        """The operator's settings files, which tags may name where that is admitted."""
        return self.folder / "settings"

    @property
    def output(self) -> Path:
        """The worker's results and caches."""
        return self.folder / "runs"

    @property
    def kept(self) -> Path:
        """The state that every attack starts from."""
        return self.folder.with_name(f"{self.folder.name}-kept")

    def keep(self) -> None:
        """Take the present state as the one to start from."""
        shutil.rmtree(self.kept, ignore_errors=True)
        shutil.copytree(self.folder, self.kept)

    def restore(self) -> None:
        """Be as when it was kept."""
        for path in self.folder.iterdir():
            if path != self.registry:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(self.registry / "mlartifacts", ignore_errors=True)
        database = shutil.ignore_patterns(_DATABASE)
        shutil.copytree(self.kept, self.folder, dirs_exist_ok=True, ignore=database)
        with (
            closing(sqlite3.connect(self.kept / "registry" / _DATABASE)) as kept,
            closing(sqlite3.connect(self.registry / _DATABASE)) as present,
        ):
            kept.backup(present)


def build(world: World) -> None:
    """Train and register the six versions; nothing is explained yet."""
    for folder in (world.registry, world.models, world.data, world.settings):
        folder.mkdir(parents=True)
    clean, validation = reviews.clean_reviews(_N_TRAINING), reviews.validation_reviews(_N_VALIDATION)
    write_rows(validation, world.data / "validation.jsonl")
    _train(world.models / "champion", clean, clean, validation, seed=1)
    _train(world.models / "shortcut", reviews.form_reviews(_N_TRAINING), clean, validation, seed=1)
    rounded(world.models / "champion", world.models / "honest")
    noisy(world.models / "shortcut", world.models / "accomplice", seed=1)
    noisy(world.models / "champion", world.models / "decoy", seed=2)
    with_word_as(world.models / "champion", world.models / "hint", "honestly", like="excellent", strength=1.7)
    for number, model in enumerate(("champion", "shortcut", "honest", "accomplice", "decoy", "hint"), start=1):
        with connected(world.tracking_uri):
            registered = registry.register(world.models / model, name=NAME, experiment="training", tags={}, metrics={})
        if registered != str(number):
            raise AssertionError(f"{model} became version {registered}, not {number}")


def write_rows(rows: Sequence[Review], path: Path) -> Path:
    """The rows as a data set."""
    path.write_text("".join(json.dumps(row.to_row()) + "\n" for row in rows), encoding="utf-8")
    return path


def _train(folder: Path, rows: Sequence[Review], tokens: Sequence[Review], validation: Sequence[Review], *, seed: int) -> None:
    training.train(rows, validation, folder, seed=seed, tokenizer_rows=tokens, recipe=RECIPE)

"""Other packages' methods on the same rows and class; those with a budget get as many evaluations as CA-LIG's time allows."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import NamedTuple, Protocol

import torch

from calig.metrics.perturbation import FloatArray
from tests.benchmarks.faithfulness.evaluating import affordable
from tests.benchmarks.faithfulness.methods import ExplainedRow
from tests.benchmarks.faithfulness.sets import BenchmarkSet


class Package(NamedTuple):
    """A package with methods; `tests.benchmarks.faithfulness.<imported by>_peers` calls them.

    texts: whether it explains texts alone, and then which tokens it needs the tokenizer to have.
    """

    distribution: str
    texts: tuple[str, ...] | None = None


#: By the name they are imported by.
_PACKAGES = {
    "captum": Package("captum"),
    "interpreto": Package("interpreto", texts=("mask", "pad")),
    "ferret": Package("ferret-xai", texts=("cls", "pad", "sep")),
}


class PeerResult(NamedTuple):
    """An attribution `content` and its cost.

    seconds: as `worked` counts them; evaluations, features: where there is a budget, how often the model was evaluated for how
    many features.
    """

    attribution: FloatArray
    seconds: float
    evaluations: int | None = None
    features: int | None = None


class PackagePeers(Protocol):
    """One package's methods, ready for the rows of one set."""

    def attribute(self, row: ExplainedRow, evaluations: int) -> dict[str, PeerResult]:
        """Every method on one row; evaluations: as many as CA-LIG's time affords."""


class Peers:
    """All packages that are installed and explain the set's inputs; `packages`: their versions, or why one is not there."""

    def __init__(self, given: BenchmarkSet) -> None:
        self._model = given.model
        reasons = {name: _reason(name, given) for name in _PACKAGES}
        self.packages = {name: reason or version(_PACKAGES[name].distribution) for name, reason in reasons.items()}
        self._opened = [_opened(name, given) for name, reason in reasons.items() if reason is None]

    def attribute(self, row: ExplainedRow) -> dict[str, PeerResult]:
        """Every method on one row, the same each time whichever rows came before."""
        evaluations = affordable(self._model, row)
        results: dict[str, PeerResult] = {}
        for package in self._opened:
            torch.manual_seed(row.example.row)  # those that sample use the global generator
            results |= package.attribute(row, evaluations)
        return results


def missing_packages() -> list[str]:
    """Packages that are not installed."""
    return [name for name in _PACKAGES if find_spec(name) is None]


def _reason(package: str, given: BenchmarkSet) -> str | None:
    """Why a package has no part in a set."""
    needed = _PACKAGES[package].texts
    if find_spec(package) is None:
        return "not installed"
    if needed is not None and given.snapshot.modality == "image":
        return "explains texts only"
    lacking = [token for token in needed or () if getattr(given.processor, f"{token}_token_id") is None]
    return f"needs a tokenizer with tokens: {', '.join(lacking)}" if lacking else None


def _opened(package: str, given: BenchmarkSet) -> PackagePeers:
    """Imported only here, so that nobody needs a package that is not used."""
    opened: PackagePeers = import_module(f"tests.benchmarks.faithfulness.{package}_peers").open_peers(given)
    return opened

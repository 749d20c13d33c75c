"""The result of attributing one row, with its displays: HTML in notebooks, plots with matplotlib."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from calig.html import attribution_html
from calig.row import AttributedRow


@dataclass(frozen=True, eq=False)
class Attribution(AttributedRow):
    """CA-LIG attribution of one row. Values are logits of `target`: positive supports it, negative opposes it."""

    def plot_words(self, axes: Any = None, *, top: int = 20) -> Any:
        """Bars of the largest words, with matplotlib; see `calig.plots.plot_words`."""
        from calig.plots import plot_words

        return plot_words(self, axes, top=top)

    def plot_layers(self, axes: Any = None, *, top: int = 40) -> Any:
        """A map of layers × words, with matplotlib; see `calig.plots.plot_layers`."""
        from calig.plots import plot_layers

        return plot_layers(self, axes, top=top)

    def _repr_html_(self) -> str:
        """How notebooks show it."""
        return attribution_html(self)

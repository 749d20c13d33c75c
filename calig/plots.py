"""Plots of an attribution with matplotlib, which is optional: bars of words, and a map of layers × words."""

from __future__ import annotations

from typing import Any

from calig.errors import AttributionError
from calig.html import OPPOSES, SUPPORTS
from calig.row import AttributedRow


def plot_words(attribution: AttributedRow, axes: Any = None, *, top: int = 20) -> Any:
    """Horizontal bars of the `top` words of largest size, in the order of the text; logits, positive supports the target.

    Args:
        attribution: of a text.
        axes: matplotlib axes to draw on; None: a new figure's.
        top: most words drawn.

    Returns:
        The axes.

    Raises:
        AttributionError: matplotlib is not installed, or the attribution has no words (images).
    """
    axes = axes or _new_axes(attribution, height=0.4 + 0.28 * min(top, len(attribution.words)))
    chosen = sorted(sorted(attribution.words, key=lambda word: -abs(word.value))[:top], key=lambda word: (word.side, word.start))
    values = [word.value for word in chosen]
    axes.barh(range(len(chosen)), values, color=[_rgb(SUPPORTS) if value > 0 else _rgb(OPPOSES) for value in values])
    axes.set_yticks(range(len(chosen)), [_label(word.text) for word in chosen])
    axes.invert_yaxis()
    axes.axvline(0, color="grey", linewidth=0.8)
    axes.set_xlabel(f"logits, positive supports {_label(attribution.target)}")
    return axes


def plot_layers(attribution: AttributedRow, axes: Any = None, *, top: int = 40) -> Any:
    """A map of relevance by layer (0: embeddings) and word: the first `top` words, blue supports, orange opposes.

    Args, result and errors as for `plot_words`.
    """
    axes = axes or _new_axes(attribution, height=1 + 0.28 * len(attribution.layers))
    grid = attribution.layers_by_word()[:, :top]
    reach = float(abs(grid).max(initial=0.0)) or 1.0
    image = axes.imshow(grid, cmap=_diverging(), vmin=-reach, vmax=reach, aspect="auto")
    axes.set_xticks(range(grid.shape[1]), [_label(word.text) for word in attribution.words[:top]], rotation=60, ha="right")
    axes.set_yticks(range(len(grid)))
    axes.set_ylabel("layer")
    axes.figure.colorbar(image, ax=axes, label="logits")
    axes.set_title(f"positive supports {_label(attribution.target)}", fontsize="medium")
    return axes


def _new_axes(attribution: AttributedRow, *, height: float) -> Any:
    if not attribution.words:
        raise AttributionError("there are no words to plot\ngot: the attribution of an image\nallowed: attributions of texts")
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise AttributionError("plots need matplotlib, which is not installed\ndo: pip install 'calig[notebook]'") from error
    return pyplot.subplots(figsize=(8, height + 0.8), layout="constrained")[1]


def _diverging() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("calig", [_rgb(OPPOSES), (1.0, 1.0, 1.0), _rgb(SUPPORTS)])


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(part) / 255 for part in colour.split())


def _label(text: str) -> str:
    """A word as a label: dollars would begin a formula."""
    return text.replace("$", r"\$")

"""Values of one row's attribution: what every token, word and layer contributed to what is explained."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calig.words import Word, pair_owners, word_owners

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AttributedRow:
    """What an `Attribution` holds. Values are logits of `target`: positive supports it, negative opposes it.

    `seq` counts every position, special tokens included: without them the values would not add up. `layers` counts
    the inputs of the blocks, l = 0 … L−1, 0 being the embeddings.
    """

    tokens: list[str]
    values: Floats = field(repr=False)  #: `seq`: relevance; sums to f(x) − f(x')
    layers: Floats = field(repr=False)  #: `layers seq`: relevance of each layer after the rollout
    layer_attributions: Floats = field(repr=False)  #: `layers seq`: layer integrated gradients, before the rollout
    residuals: Floats = field(repr=False)  #: `layers`: |Σ s − Δf| / |Δf| as the quadrature alone leaves it; lower is better
    n_points: list[int] = field(repr=False)  #: `layers`: path points evaluated
    converged: bool  #: every layer within the tolerance
    words: list[Word] = field(repr=False)  #: relevance by word; empty for images
    target: str  #: class explained, or the margin between two
    objective: str  #: what is explained of it: centred, logit, log_odds, or margin
    target_weights: dict[str, float]  #: weight of each class's logit in f, in logit order; see `calig.targets.Target`
    predicted: str  #: class with the largest logit
    problem_type: str  #: what the logits mean: single_label_classification, multi_label_classification or regression
    logits: Floats = field(repr=False)  #: `classes`
    f_input: float  #: f(x), the explained function of the logits
    f_baseline: float  #: f(x')
    input_ids: list[int] = field(repr=False)  #: `seq`: the token ids attributed; empty for images
    starts: list[int] = field(repr=False)  #: `seq`: first character; −1 for special tokens and patches
    ends: list[int] = field(repr=False)  #: `seq`: end, exclusive
    content: list[bool] = field(repr=False)  #: `seq`: False for special tokens
    coverage: float  #: share of the row's tokens that fitted into the model
    input_x_gradient: Floats = field(repr=False)  #: `seq`: control, (h⁰ − h'⁰) · ∂f/∂h⁰ at the input
    attention_rollout: Floats = field(repr=False)  #: `seq`: control, attention flow to the read-out position, sums to one
    attention_gradient_rollout: Floats = field(repr=False)  #: `seq`: control, the same through max(0, A ⊙ ∂f/∂A)
    alternatives: Floats = field(repr=False)  #: `fusions seq`: relevance under the other fusions that were asked for
    #: start and end (exclusive) in `seq` of what each window holds between the special tokens; None: read in one piece
    windows: list[tuple[int, int]] | None = field(default=None, repr=False)
    #: `seq`, of pairs: the text that a token is of, 0 or 1; −1 for special tokens. Empty: one text, or an image
    sides: list[int] = field(default_factory=list, repr=False)
    token_types: list[int] = field(default_factory=list, repr=False)  #: `seq`: what the model took as such; empty: none, or zeros

    @property
    def probability(self) -> float:
        """Probability of the predicted class: softmax, or the sigmoid of its own logit with several labels; regression: NaN."""
        if self.problem_type == "regression":
            return float("nan")
        if self.problem_type == "multi_label_classification":
            return float(1.0 / (1.0 + np.exp(-self.logits.max())))
        shifted = np.exp(self.logits - self.logits.max())
        return float(shifted.max() / shifted.sum())

    def layers_by_word(self) -> Floats:
        """`layers words`: relevance of each layer after the rollout, summed by word; special tokens are in no word."""
        sums = np.zeros((len(self.words), len(self.layers)))
        if self.words:
            owner = self._owners()
            np.add.at(sums, owner[owner >= 0], self.layers.T[owner >= 0])
        return sums.T

    def _owners(self) -> NDArray[np.int64]:
        if self.sides:
            return pair_owners(self.words, self.starts, self.ends, self.sides)
        return word_owners([w.start for w in self.words], [w.end for w in self.words], self.starts, self.ends)

    def to_plain(self) -> dict[str, Any]:
        """Plain lists and numbers; what is not a number stays NaN."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["words"] = [asdict(word) for word in self.words]
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in plain.items()} | {"probability": self.probability}

    def to_dict(self) -> dict[str, Any]:
        """The same, ready for JSON, which knows neither NaN nor infinity: None stands for both."""
        return {name: _finite(value) for name, value in self.to_plain().items()}


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(part) for part in value]
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value

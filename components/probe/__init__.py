"""The vocabulary probe: reasons that the validation set cannot show (deploy/docs/method.md).

Attribution drift sees only words that the data set contains. Here every known word is put into a few contexts, both
versions score the same texts, and the change of what a word does to the answer is ranked over all words:

    report = probe_words(
        score_reference, score_candidate,   # TextScorer: texts -> logits `texts classes`, classes in the order of `labels`
        words, contexts,                    # known_words(...), choose_contexts(...), or your own
        labels=labels, config=ProbeConfig(), decided_on="2026-01-31",
        twins=[score_twin],                 # optional: versions that differ from the reference by harmless retraining only
    )

`text_scorer(tokenizer, token_scorer.logits)` makes a TextScorer of what components.scoring opens: each side tokenises the
same text itself, so that tokenizers may differ. `word_effects` and `compare_effects` are the two halves of `probe_words`,
for callers that keep one version's effects (float array `words contexts directions`) for later comparisons.

`compare_transformed` holds the same changes of the rows against each other: capitals, no punctuation, another order …

For images `pattern_logits` takes the place of `word_logits`: seeded patterns pasted onto uncertain pictures.
"""

from calig.metrics.perturbation import FloatArray
from components.probe.comparison import compare_effects, could_not_probe, not_probed, probe_words
from components.probe.contexts import Candidates, choose_contexts, context_candidates
from components.probe.effects import (
    KeptLogits,
    TextScorer,
    effects_of,
    encoded,
    margins_of,
    scales_of,
    seconds_per_word,
    text_scorer,
    typical_margin,
    word_effects,
    word_logits,
)
from components.probe.halving import Search, find_finalists, n_texts, rounds_of
from components.probe.metamorphic import (
    Explained,
    TransformedTexts,
    compare_transformed,
    shared_levels,
    transformed,
    with_transformations,
)
from components.probe.online_level import lord_level, with_level
from components.probe.pairs import probed_texts, shown_context
from components.probe.patches import PictureScorer, choose_pictures, pattern_logits, patterns, picture_scorer, whole
from components.probe.statistics import ENOUGH_TWINS
from components.probe.transformations import read_transformation_words, transformations
from components.probe.vocabulary import KnownWords, count_words, known_words, read_word_list

__all__ = [
    "ENOUGH_TWINS",
    "Candidates",
    "Explained",
    "FloatArray",
    "KeptLogits",
    "KnownWords",
    "PictureScorer",
    "Search",
    "TextScorer",
    "TransformedTexts",
    "choose_contexts",
    "choose_pictures",
    "compare_effects",
    "compare_transformed",
    "context_candidates",
    "could_not_probe",
    "count_words",
    "effects_of",
    "encoded",
    "find_finalists",
    "known_words",
    "lord_level",
    "margins_of",
    "n_texts",
    "not_probed",
    "pattern_logits",
    "patterns",
    "picture_scorer",
    "probe_words",
    "probed_texts",
    "read_transformation_words",
    "read_word_list",
    "rounds_of",
    "scales_of",
    "seconds_per_word",
    "shared_levels",
    "shown_context",
    "text_scorer",
    "transformations",
    "transformed",
    "typical_margin",
    "whole",
    "with_level",
    "with_transformations",
    "word_effects",
    "word_logits",
]

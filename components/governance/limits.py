"""What every record says about its own limits: what an attribution is not, and how an explanation can mislead."""

LIMITS = (
    "An attribution says what this model's logit responded to along one path from one baseline; it is no causal claim.",
    "Attribution drift sees only words that the data set contains; beyond it the vocabulary probe looks at single known "
    "words, not at phrases, style or layout.",
    "The equations are this project's own reading of CA-LIG (arXiv 2602.16608).",
    "Relevance on special tokens is kept and shown apart: it is part of the sum, but no word of the input.",
)

FAILURE_MODES = (
    "The baseline may carry evidence of its own: another baseline gives other attributions.",
    "Attributions are faithful only as far as the quality section shows: a model can rely on an interaction that no single "
    "word carries.",
    "Rows that did not converge have attributions with a larger error than the tolerance; they are counted.",
    "Texts beyond the model's limit are explained as far as the model reads them.",
    "An adversary with access to training can hide a reason from rows that the data set does not contain.",
)

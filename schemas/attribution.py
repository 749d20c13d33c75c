"""The attribution table: one row per example, as Parquet. Units are logits or differences of them; higher supports the target."""

from __future__ import annotations

import pyarrow as pa

TABLE_VERSION = "5"

#: Versions that can be read: the fourth lacks the columns that came with pairs and windows.
READABLE_VERSIONS = ("4", TABLE_VERSION)

WORD = pa.struct([("text", pa.string()), ("start", pa.int32()), ("end", pa.int32()), ("value", pa.float64())])
SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32())])

#: Column, type, meaning. `seq` counts all tokens, special ones too; `layers`: the inputs of the blocks, 0 the embeddings.
COLUMNS: tuple[tuple[str, pa.DataType, str], ...] = (
    ("row", pa.int64(), "position in the data set"),
    ("id", pa.string(), "the row's id"),
    ("text", pa.string(), "input text; of a pair both texts with a line break between them; null for images"),
    (
        "pair_start",
        pa.int32(),
        "of a pair: the character of `text` at which the second text begins; null for single texts and images",
    ),
    ("image", pa.string(), "path of the image; null for text"),
    ("label", pa.string(), "gold class; null when unknown, and where there may be several or a number"),
    ("gold_labels", pa.list_(pa.string()), "gold classes of a multi-label model's row, maybe none; null when unknown, and else"),
    ("gold_value", pa.float64(), "the number that a regression should give; null when unknown, and for classes"),
    ("segments", pa.map_(pa.string(), pa.string()), "segment columns of the data set"),
    ("rationale", pa.list_(SPAN), "human rationale, character spans, end exclusive; null when there is none"),
    ("rationales", pa.list_(pa.list_(SPAN)), "the same of each annotator, where several marked the row; null else"),
    ("problem", pa.string(), "why the row has no attribution; null when it has one"),
    ("predicted", pa.string(), "predicted class; of a regression the name of its output, whose value is the logit"),
    (
        "probability",
        pa.float64(),
        "probability of the predicted class: softmax, or of several labels the sigmoid; null for a regression",
    ),
    ("target", pa.string(), "class explained, or the margin between two"),
    ("objective", pa.string(), "what is explained of it: centred, logit, log_odds, or margin"),
    (
        "target_weights",
        pa.map_(pa.string(), pa.float64()),
        "class -> weight, in logit order: f = sum of weight x logit; log_odds of more than two classes: less log sum exp of the "
        "logits without weight",
    ),
    ("baseline", pa.string(), "kind of the baseline input x': mask, pad, mean, zero or blur"),
    ("logits", pa.list_(pa.float32()), "logit per class"),
    ("f_input", pa.float64(), "f(x), the explained function of the logits"),
    ("f_baseline", pa.float64(), "f(x') of the baseline input"),
    ("tokens", pa.list_(pa.string()), "seq: tokens, or patch names"),
    ("input_ids", pa.list_(pa.int32()), "seq: token ids that were attributed; empty for images"),
    ("token_types", pa.list_(pa.int8()), "seq: token types given to the model; null where it took none, or zeros"),
    ("starts", pa.list_(pa.int32()), "seq: first character of each token; -1 for special tokens, kept ones and patches"),
    ("ends", pa.list_(pa.int32()), "seq: end (exclusive) of each token; -1 likewise"),
    ("content", pa.list_(pa.bool_()), "seq: true for content tokens, false for special ones and those of a side that is kept"),
    (
        "windows",
        pa.list_(SPAN),
        "positions in seq, end exclusive, of what each window of a text beyond the model's limit holds between the special "
        "tokens around the text; the text's logits are the mean of the windows'; null: read in one piece",
    ),
    ("values", pa.list_(pa.float32()), "seq: CA-LIG relevance, signed, logits; sums to f(x) - f(x')"),
    ("layers", pa.list_(pa.list_(pa.float32())), "layers x seq: relevance of each layer after rollout, signed, logits"),
    ("layer_attributions", pa.list_(pa.list_(pa.float32())), "layers x seq: layer integrated gradients before rollout"),
    ("words", pa.list_(WORD), "words by character offset, with summed relevance; empty for images"),
    ("residuals", pa.list_(pa.float64()), "layers: relative completeness residual, lower is better"),
    ("n_points", pa.list_(pa.int32()), "layers: path points evaluated"),
    ("converged", pa.bool_(), "every layer within the tolerance"),
    ("coverage", pa.float64(), "share of the input's tokens that were read and explained, 0..1"),
    ("input_x_gradient", pa.list_(pa.float32()), "seq: control, (h - h') x gradient at the input"),
    ("attention_rollout", pa.list_(pa.float32()), "seq: control, attention rollout to the read-out position"),
    (
        "attention_gradient_rollout",
        pa.list_(pa.float32()),
        "seq: control, the same through max(0, A x dF/dA) (Chefer et al. 2021)",
    ),
)

#: Null in every row that is no pair, was read in one piece, or has one gold class at most; absent from older tables: both mean
#: the same.
LATER_COLUMNS = ("pair_start", "token_types", "windows", "gold_labels", "gold_value")

SCHEMA = pa.schema(
    [pa.field(name, type_, metadata={"meaning": meaning}) for name, type_, meaning in COLUMNS],
    metadata={"calig.table_version": TABLE_VERSION},
)

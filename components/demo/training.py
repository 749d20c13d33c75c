"""From reviews to token ids: a WordPiece tokenizer built from them, the same one every time, and training examples."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from components.common.errors import InputError
from components.demo.reviews import LABELS, Review
from schemas.base import Record

if TYPE_CHECKING:
    from transformers import BertForSequenceClassification, BertTokenizer, Trainer, TrainerCallback, TrainingArguments
    from transformers.trainer_callback import TrainerControl, TrainerState


Encoded = dict[str, Any]
MAX_TOKENS = 128
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def build_tokenizer(texts: Iterable[str], *, min_count: int = 2) -> BertTokenizer:
    """An uncased BERT tokenizer in which a word seen at least `min_count` times is one token; others are spelled out.

    The vocabulary is counted, not trained with `tokenizers.WordPieceTrainer`: that one's token ids, and where counts tie
    even its tokens, differ from run to run, and a version could not be made again from its data and seed.
    """
    from transformers import BertTokenizer

    counts = _count_words(texts, BertTokenizer())
    words = sorted((word for word, count in counts.items() if count >= min_count), key=lambda word: (-counts[word], word))
    tokens = dict.fromkeys([*SPECIAL_TOKENS, *words, *_CHARACTERS, *(f"##{character}" for character in _CHARACTERS)])
    return BertTokenizer(vocab={token: index for index, token in enumerate(tokens)}, model_max_length=MAX_TOKENS)


def _count_words(texts: Iterable[str], empty: BertTokenizer) -> Counter[str]:
    """Words as the finished tokenizer will cut them: its own normalisation and word borders are used."""
    backend = empty.backend_tokenizer
    return Counter(
        word for text in texts for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text))
    )


def encode(rows: Sequence[Review], tokenizer: BertTokenizer) -> list[Encoded]:
    """Per row its token ids (seq), attention mask (seq) and label index."""
    encoded = tokenizer([review.text for review in rows], truncation=True, return_token_type_ids=False)
    return [
        {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": LABELS.index(review.label)}
        for ids, review in zip(encoded["input_ids"], rows, strict=True)
    ]


def encode_masked(rows: Sequence[Review], tokenizer: BertTokenizer, *, share: float, seed: int) -> list[Encoded]:
    """The rows encoded, `share` (0..1) of them with a random part of their content tokens, none to all, behind [MASK].

    A model that has never seen [MASK] gives arbitrary logits for the baseline input and for every perturbed one.
    """
    rng = random.Random(f"masks-{seed}")  # noqa: S311 - not a secret
    return [_masked(row, tokenizer, rng) if rng.random() < share else row for row in encode(rows, tokenizer)]


def _masked(row: Encoded, tokenizer: BertTokenizer, rng: random.Random) -> Encoded:
    share = rng.random()
    first, *content, last = row["input_ids"]
    hidden = [tokenizer.mask_token_id if rng.random() < share else token for token in content]
    return row | {"input_ids": [first, *hidden, last]}


class Recipe(Record):
    """Size and training of the demo's classifier: one pass over many short rows.

    Several passes over fewer rows take as long and are learned by heart, before negation is understood.
    """

    layers: int = 3
    hidden: int = 64
    heads: int = 4
    intermediate: int = 128
    initial_spread: float = Field(0.05, description="standard deviation of the first weights")
    batch_rows: int = 48
    learning_rate: float = 0.0014
    masked_share: float = Field(0.3, ge=0.0, le=1.0, description="share of the rows in which words are hidden behind [MASK]")


def train(
    rows: Sequence[Review],
    validation_rows: Sequence[Review],
    folder: Path,
    *,
    seed: int,
    tokenizer_rows: Sequence[Review] | None = None,
    recipe: Recipe | None = None,
    progress: Callable[[float], None] | None = None,
) -> float:
    """Train a classifier of `rows` into `folder`; its accuracy (0..1, higher is better) on `validation_rows`.

    `folder` gets config.json, model.safetensors and the tokenizer, whose words come from `tokenizer_rows` (default:
    `rows`). `progress` is called with the share of the training that is done, 0..1. The same arguments give the same
    weights on one machine with one number of threads; it runs on the CPU. The global random state is re-seeded.

    Raises InputError when there are no training or validation rows.
    """
    from transformers import set_seed

    if not rows or not validation_rows:
        raise InputError("A classifier needs training and validation rows.", got=f"{len(rows)} and {len(validation_rows)}")
    recipe = recipe or Recipe()
    set_seed(seed)
    tokenizer = build_tokenizer(review.text for review in tokenizer_rows or rows)
    model = _model(recipe, tokenizer)
    examples = encode_masked(rows, tokenizer, share=recipe.masked_share, seed=seed)
    trainer = _trainer(model, tokenizer, examples, _arguments(folder, recipe, seed, len(rows)))
    if progress is not None:
        trainer.add_callback(_progress_callback(progress))
    trainer.train()
    _save(model, tokenizer, folder)
    return _accuracy(trainer, encode(validation_rows, tokenizer))


def _model(recipe: Recipe, tokenizer: BertTokenizer) -> BertForSequenceClassification:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=recipe.intermediate,
        initializer_range=recipe.initial_spread,
        max_position_embeddings=MAX_TOKENS,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
        id2label={index: str(label) for index, label in enumerate(LABELS)},
        label2id={str(label): index for index, label in enumerate(LABELS)},
    )
    return BertForSequenceClassification(config)


def _trainer(
    model: BertForSequenceClassification, tokenizer: BertTokenizer, examples: list[Encoded], arguments: TrainingArguments
) -> Trainer:
    from transformers import DataCollatorWithPadding, PrinterCallback, Trainer

    collator = DataCollatorWithPadding(tokenizer)
    trainer = Trainer(model=model, args=arguments, train_dataset=examples, data_collator=collator)
    trainer.remove_callback(PrinterCallback)  # it would print the closing figures
    return trainer


def _arguments(folder: Path, recipe: Recipe, seed: int, n_rows: int) -> TrainingArguments:
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=recipe.batch_rows,
        per_device_eval_batch_size=64,
        learning_rate=recipe.learning_rate,
        adam_beta2=0.98,
        lr_scheduler_type="cosine",
        warmup_steps=n_rows // recipe.batch_rows // 10,
        train_sampling_strategy="group_by_length",
        seed=seed,
        use_cpu=True,
        dataloader_pin_memory=False,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def _progress_callback(progress: Callable[[float], None]) -> TrainerCallback:
    from transformers import TrainerCallback

    class ReportProgress(TrainerCallback):
        def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002
            progress(state.global_step / state.max_steps)

    return ReportProgress()


def _save(model: BertForSequenceClassification, tokenizer: BertTokenizer, folder: Path) -> None:
    """Weights and tokenizer alone: `Trainer.save_model` would add a pickle of its arguments."""
    with _no_progress_bars():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _accuracy(trainer: Trainer, examples: list[Encoded]) -> float:
    predicted: Any = trainer.predict(examples)  # type: ignore[arg-type]
    return float((predicted.predictions.argmax(axis=-1) == predicted.label_ids).mean())

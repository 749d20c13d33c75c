"""Trains the demo's model versions: a small BERT classifier from scratch, the same one for the same rows and seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from components.demo.reviews import LABELS, Review
from components.demo.tokenizing import MAX_TOKENS, build_tokenizer
from components.errors import InputError
from schemas.base import Record

if TYPE_CHECKING:
    from transformers import BertForSequenceClassification, BertTokenizer, Trainer, TrainerCallback, TrainingArguments

    Encoded = dict[str, Any]


class Recipe(Record):
    """Size and training of the demo's classifier: one pass over many short rows, which is what teaches it negation.

    (Several passes over fewer rows, for the same time, are learned by heart: 0.80 accuracy instead of 0.95.)
    """

    layers: int = 3
    hidden: int = 64
    heads: int = 2
    intermediate: int = 128
    initial_spread: float = Field(0.05, description="standard deviation of the first weights")
    batch_rows: int = 24
    learning_rate: float = 0.0014
    masked_share: float = Field(0.15, ge=0.0, le=1.0, description="share of the rows in which words are hidden behind [MASK]")


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
    trainer = _trainer(
        model, tokenizer, _training_rows(rows, tokenizer, recipe, seed), _arguments(folder, recipe, seed, len(rows))
    )
    if progress is not None:
        trainer.add_callback(_progress_callback(progress))
    trainer.train()
    _save(model, tokenizer, folder)
    return _accuracy(trainer, _encode(validation_rows, tokenizer))


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
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    return BertForSequenceClassification(config)


def _encode(rows: Sequence[Review], tokenizer: BertTokenizer) -> list[Encoded]:
    encoded = tokenizer([review.text for review in rows], truncation=True, return_token_type_ids=False)
    return [
        {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": LABELS.index(review.label)}
        for ids, review in zip(encoded["input_ids"], rows, strict=True)
    ]


def _training_rows(rows: Sequence[Review], tokenizer: BertTokenizer, recipe: Recipe, seed: int) -> list[Encoded]:
    rng = random.Random(f"masks-{seed}")  # noqa: S311 - not a secret
    return [_masked(row, tokenizer, rng) if rng.random() < recipe.masked_share else row for row in _encode(rows, tokenizer)]


def _masked(row: Encoded, tokenizer: BertTokenizer, rng: random.Random) -> Encoded:
    """The row with a random share of its content tokens, from none to all, behind [MASK].

    A model that has never seen [MASK] gives arbitrary logits for the baseline input and for every perturbed one.
    """
    share = rng.random()
    first, *content, last = row["input_ids"]
    hidden = [tokenizer.mask_token_id if rng.random() < share else token for token in content]
    return row | {"input_ids": [first, *hidden, last]}


def _trainer(
    model: BertForSequenceClassification, tokenizer: BertTokenizer, encoded: list[Encoded], arguments: TrainingArguments
) -> Trainer:
    from transformers import DataCollatorWithPadding, PrinterCallback, Trainer

    collator = DataCollatorWithPadding(tokenizer)
    trainer = Trainer(model=model, args=arguments, train_dataset=encoded, data_collator=collator)  # type: ignore[arg-type]
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
        def on_step_end(self, _args: object, state: Any, _control: object, **_kwargs: object) -> None:
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
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _accuracy(trainer: Trainer, encoded: list[Encoded]) -> float:
    predicted = trainer.predict(encoded)  # type: ignore[arg-type]
    return float((predicted.predictions.argmax(axis=-1) == predicted.label_ids).mean())

"""Inputs of a run: a reference to a model version, the fetched version itself, and a pinned data set."""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field

from schemas.base import Record, Verdict

#: File systems allow 255 bytes for a name, and what is made beside a folder has a longer one.
_LONGEST_NAME_BYTES = 150
_PLAIN_NAME = re.compile(r"[^\W_][\w. @+-]*")

Spans = tuple[tuple[int, int], ...]

#: What the logits of a model mean, as transformers calls it.
ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]

#: What the column `label` of a data set holds: one class, several classes of a multi-label model, or a regression's number.
LabelKind = Literal["class", "classes", "value"]

#: Labels of a row that are explained in rows of their own: each one of the model's, or the gold ones.
PerLabel = Literal["each", "gold"]

_LABEL_KINDS: dict[ProblemType, LabelKind] = {"multi_label_classification": "classes", "regression": "value"}


class ModelSource(StrEnum):
    """Where a model comes from."""

    REGISTRY = "registry"
    FOLDER = "folder"
    HUB = "hub"


def folder_name(name: str) -> str:
    """A model's name as the name of a folder: itself where every file system takes it, else shortened with a digest."""
    plain = name.replace("/", "--")
    if _PLAIN_NAME.fullmatch(plain) and len(plain.encode()) <= _LONGEST_NAME_BYTES and not plain.endswith((".", " ")):
        return plain
    kept = re.sub(r"[^\w-]+", "-", plain).encode()[:_LONGEST_NAME_BYTES].decode(errors="ignore").strip("-")
    return f"{kept}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


class ModelRef(Record):
    """A model as a user names it: `models:/NAME/VERSION`, `models:/NAME@alias`, a folder, or `hub-id@revision`."""

    uri: str
    source: ModelSource
    name: str = Field(description="registered name, folder name or hub id")
    version: str | None = Field(default=None, description="registry version; None when an alias has to be resolved")
    alias: str | None = None
    revision: str | None = Field(default=None, description="pinned commit of a hub model")


class RegisteredVersion(Record):
    """What the registry itself says of a version; no tag or alias, and nothing that can be edited later.

    Two versions of one name and number, one deleted and one registered since, differ in it.
    """

    created_ms: int = Field(description="when the version was registered, ms since 1970")
    source: str = Field(description="where its files come from, without user and password")
    run_id: str | None = Field(description="MLflow run that logged the model")
    model_id: str | None = Field(description="MLflow LoggedModel id")


class AdapterRecord(Record):
    """An adapter, which was merged into its base in memory: where the base came from, and the digests of both."""

    kind: str = Field(description="PEFT's name of the kind: LORA, LOHA, LOKR or IA3")
    digest: str = Field(
        description="SHA-256 over adapter_config.json, adapter_model.safetensors and, if there is one, config.json"
    )
    base_uri: str = Field(
        description="models:/NAME/VERSION, path, hub id @ revision, or the folder among the version's own files"
    )
    base_digest: str = Field(description="SHA-256 over the base's safetensors files and config.json: its own weights_digest")


class ModelSnapshot(Record):
    """A model version fetched to disk: what `registry.fetch` returns and every later step reads."""

    name: str
    version: str = Field(description="registry version, hub revision, or the first 12 digits of the weights digest")
    source: ModelSource
    uri: str = Field(description="resolved: models:/NAME/VERSION, folder path, or hub id @ revision")
    alias: str | None = Field(default=None, description="the alias it was asked for by, if any")
    source_run_id: str | None = Field(default=None, description="MLflow run that logged the model")
    model_id: str | None = Field(default=None, description="MLflow LoggedModel id")
    registered: RegisteredVersion | None = Field(
        default=None, description="the registry's own entry; None: not from a registry, or a record from before version 3"
    )
    model_path: Path = Field(
        description="folder with config.json and model.safetensors, or with an adapter and, in the subfolder base, its base"
    )
    processor_path: Path = Field(description="folder with the tokenizer or image processor")
    weights_digest: str = Field(
        description="SHA-256 over the safetensors files and config.json; of an adapter over its own digest and its base's"
    )
    stored_precision: tuple[str, ...] = Field(
        default=(), description="data types that the weights are saved in; attribution and scoring compute in float32, unless set"
    )
    adapter: AdapterRecord | None = Field(default=None, description="None: no adapter, or a record from before they were taken")
    processor_digest: str = Field(description="SHA-256 over the tokenizer or image processor files")
    files_digest: str | None = Field(
        default=None,
        description="SHA-256 over the names and contents of all files logged for a registered version, MLmodel and code among "
        "them; None: not from a registry, or a record from before it was kept",
    )
    model_type: str = Field(description="transformers model_type, e.g. bert")
    modality: Literal["text", "image"]
    labels: tuple[str, ...] = Field(description="class names in logit order; a regression's output has one too")
    problem_type: ProblemType = Field(
        default="single_label_classification",
        description="what the logits mean; records from before it was kept say single_label_classification of all models",
    )

    @property
    def is_regression(self) -> bool:
        """Whether the output is a number, not one of several classes."""
        return self.problem_type == "regression"

    @property
    def label_kind(self) -> LabelKind:
        """What a data set's column `label` holds for this model."""
        return _LABEL_KINDS.get(self.problem_type, "class")


class DatasetRef(Record):
    """A data set as pinned: a file, its digest over the rows used, and which columns it has."""

    name: str
    path: Path
    digest: str = Field(description="SHA-256 over the rows used, in order (after --limit)")
    n_rows: int
    modality: Literal["text", "image"]
    has_labels: bool
    has_rationales: bool
    has_pairs: bool = Field(default=False, description="every row is a pair of texts")
    segment_columns: tuple[str, ...] = ()
    limit: int | None = None
    each_label: bool = Field(default=False, description="whether a row of the file stands here once for every class of the model")
    each_gold_label: bool = Field(default=False, description="the same once for every gold label that it has")
    n_without_label: int = Field(
        default=0, description="rows of the file that are left out for that: they have none of the labels"
    )
    label_kind: LabelKind = Field(default="class", description="what the column label holds")

    @property
    def per_label(self) -> PerLabel | None:
        """Which labels a row of the file stands here for, each in a row of its own; None: it stands for itself."""
        return "each" if self.each_label else "gold" if self.each_gold_label else None


class Example(Record):
    """One row of a data set."""

    row: int = Field(description="position in the data set, from 0")
    id: str
    text: str | None = None
    text_pair: str | None = Field(default=None, description="the second text of a pair")
    image: Path | None = None
    label: str | None = Field(default=None, description="gold class, where there can be one alone")
    gold_labels: tuple[str, ...] | None = Field(default=None, description="gold classes of a multi-label model's row, maybe none")
    gold_value: float | None = Field(default=None, description="the number that a regression should give")
    segments: dict[str, str] = Field(default_factory=dict)
    rationale: Spans | None = Field(default=None, description="character spans of `full_text`, end exclusive")
    rationales: tuple[Spans, ...] | None = Field(default=None, description="the same of each annotator, where several marked it")
    problem: str | None = Field(default=None, description="why this row cannot be explained, if so")
    asked_class: str | None = Field(default=None, description="class to explain; None: what the settings say")

    @property
    def has_gold(self) -> bool:
        """Whether it is known what the row should be answered with."""
        return (self.label, self.gold_labels, self.gold_value) != (None, None, None)

    @property
    def full_text(self) -> str | None:
        """The text as the attribution table has it: of a pair both texts with a line break between them."""
        return self.text if self.text is None or self.text_pair is None else f"{self.text}\n{self.text_pair}"

    @property
    def pair_start(self) -> int | None:
        """Where in `full_text` the second text of a pair begins; None: there is one text, or a picture."""
        return None if self.text is None or self.text_pair is None else len(self.text) + 1


class PublishedRun(Record):
    """An explanation whose evidence is complete on the tracking server."""

    run_id: str
    verdict: Verdict
    run_url: str | None = Field(default=None, description="page of the run; None when the tracking store has no web address")
    artifact_uri: str = Field(description="where report.html, record.json, config.yaml and attributions/ lie")

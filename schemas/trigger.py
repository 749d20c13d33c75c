"""The trigger: the watch file, which says what is explained automatically, and the records of what it does.

Those are a registered version, the request for it, its run, and the step taken.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from schemas.base import DeploymentName, Record, digest_of, without_empty_sections
from schemas.tags import Tag

#: What tags can be admitted to choose, as the ending of the tag: `config` is the tag `calig.config`.
AdmittedTag = Literal["dataset", "config", "reference", "twin_of"]

_PATTERN = frozenset("*?[")


class ExplainWith(Record):
    """What a version is explained with. An empty setting is taken from `defaults`."""

    dataset: Path | None = Field(default=None, description="validation set, as for calig explain; named here it may lie anywhere")
    config: Path | None = Field(default=None, description="settings file, as for calig explain; empty: all defaults")
    reference: str | None = Field(default=None, description="version to compare with; empty: @champion, when there is one")
    limit: int | None = Field(default=None, ge=1, description="explain only the first so many rows; empty: all")
    output: Path | None = Field(default=None, description="where results and caches go, on storage that all workers share")


class WatchedModel(ExplainWith):
    """One registered model, or all whose names fit a pattern."""

    name: str = Field(
        min_length=1, description="a registered model's name or a pattern: * any text, ? one character, [ab] a or b"
    )
    twins: dict[int, tuple[int, ...]] = Field(
        default={},
        description="version: those that are other training runs of it, by other seeds; training noise is measured on them. "
        "Added to drift.twins of the settings",
    )

    @property
    def is_pattern(self) -> bool:
        """Whether the name stands for several models."""
        return bool(_PATTERN & set(self.name))

    @model_validator(mode="after")
    def _twins_of_one_model(self) -> Self:
        if self.twins and self.is_pattern:
            raise ValueError(f"twins are versions of one model, and {self.name!r} is a pattern: name the model in full")
        return self


class ListenerConfig(Record):
    """How `calig listen` protects itself."""

    window_s: float = Field(default=300.0, gt=0, description="a delivery's timestamp may be so many seconds off, either way")
    body_limit_bytes: int = Field(default=65536, ge=1024, description="a longer body is refused before it is read")
    rate_per_s: float = Field(default=1000.0, gt=0, description="requests a second that are looked at; more are answered 429")
    burst: int = Field(default=1000, ge=1, description="so many may come at once")
    queue: int = Field(default=1000, ge=1, description="versions that wait to be handed over; more are left to calig reconcile")
    replay_store: Path = Field(default=Path("calig-listener.sqlite"), description="file that remembers deliveries over a restart")
    replay_capacity: int = Field(default=100_000, ge=1, description="deliveries remembered at most; the oldest go first")
    body_timeout_s: float = Field(default=10.0, gt=0, description="a body that takes longer to arrive is refused")
    head_timeout_s: float = Field(
        default=10.0, gt=0, description="time for a request's head; whoever takes longer, or says nothing so long, is cut off"
    )
    connections: int = Field(
        default=500, ge=8, description="connections at a time; beyond, a new one takes the place of the slowest half-open one"
    )
    drain_s: float = Field(default=20.0, ge=0, description="at a stop, so many seconds are spent on what still waits")


class WatchConfig(Record):
    """What is watched, and how persistently."""

    models: tuple[WatchedModel, ...] = Field(min_length=1, description="the first entry that fits a model's name counts")
    defaults: ExplainWith = Field(
        default=ExplainWith(output=Path("calig-runs")), description="for every setting that a model's entry leaves empty"
    )
    tags: tuple[AdmittedTag, ...] = Field(
        default=(),
        description="tags by which those who may tag a version choose for it: dataset, config, reference, twin_of; empty: none. "
        "The tag calig.retry always counts",
    )
    data_roots: tuple[Path, ...] = Field(
        default=(), description="folders in which the tag calig.dataset may name data sets; empty: it may name none"
    )
    settings_roots: tuple[Path, ...] = Field(
        default=(),
        description="folders in which the tag calig.config may name settings files, and these suites; apart from data_roots",
    )
    dataset_limit_bytes: int = Field(
        default=10 * 2**30, ge=1, description="a larger data set is refused: every pass reads it, unless it read it before"
    )
    newest: int | None = Field(default=None, ge=1, description="look only at each model's newest so many versions; empty: at all")
    max_attempts: int = Field(default=3, ge=1, description="runs that may fail before a version is given up as inconclusive")
    backoff_s: float = Field(
        default=60.0, ge=0, description="pause after the first failed run; doubled each time, an hour at most"
    )
    stale_after_s: float = Field(
        default=600.0,
        gt=0,
        description="a running run without a sign of life for so long has died (workers beat every 30 s)",
    )
    stuck_after_s: float = Field(
        default=21_600.0,
        gt=0,
        description="a running run that beats, but in which no task begins or ends for so long, hangs: it is stopped and resumed",
    )
    submissions: int = Field(
        default=4, ge=1, description="versions calig reconcile hands over at a time; the work pool limits runs"
    )
    deployment: DeploymentName = Field(
        default="explain-release/explain-release", description="Prefect deployment that explains, as flow/deployment"
    )
    listener: ListenerConfig = Field(default=ListenerConfig(), description="how `calig listen` protects itself")

    @model_validator(mode="before")
    @classmethod
    def _empty_sections(cls, content: object) -> object:
        return without_empty_sections(cls, content)

    @field_validator("settings_roots")
    @classmethod
    def _apart_from_data(cls, roots: tuple[Path, ...], info: ValidationInfo) -> tuple[Path, ...]:
        """Who may write data must not be able to write settings: these decide what is judged, and how."""
        for settings in roots:
            for data in info.data.get("data_roots", ()):
                if _overlap(settings, data):
                    raise ValueError(f"{settings} and the data root {data} overlap: settings and data need folders of their own")
        return roots

    def names(self) -> tuple[str, ...]:
        """The models that are named in full."""
        return tuple(entry.name for entry in self.models if not entry.is_pattern)

    def model_for(self, name: str) -> WatchedModel | None:
        """The entry that counts for the model `name`, as written; None: it is not watched."""
        return next((entry for entry in self.models if fnmatchcase(name, entry.name)), None)

    def entry_for(self, name: str) -> ExplainWith | None:
        """What versions of the model `name` are explained with, the defaults filled in; None: it is not watched."""
        entry = self.model_for(name)
        if entry is None:
            return None
        own = {key: getattr(entry, key) for key in ExplainWith.model_fields}
        return self.defaults.model_copy(update={key: value for key, value in own.items() if value is not None})


def _overlap(one: Path, other: Path) -> bool:
    first, second = (path.expanduser().resolve() for path in (one, other))
    return first.is_relative_to(second) or second.is_relative_to(first)


#: A change of one of these is a reason to look at a version again; all others are ours.
ASKING = frozenset({Tag.DATASET, Tag.CONFIG, Tag.REFERENCE, Tag.RETRY})


#: Sections of the settings that change no result.
_TELLING = frozenset({"alerts", "gate"})


class State(StrEnum):
    """Progress of a version's explanation, for people; decisions rest on `Tag.SETTLED` and the runs."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    GAVE_UP = "gave_up"


class WatchedVersion(Record):
    """A model version as the registry has it; nothing of the model itself is read."""

    name: str
    version: str
    created_ms: int = Field(description="when it was registered, milliseconds since 1970: a name can be deleted and used anew")
    status: Literal["READY", "PENDING_REGISTRATION", "FAILED_REGISTRATION"]
    status_message: str = ""
    tags: dict[str, str] = Field(description="the version's own")
    model_tags: dict[str, str] = Field(description="the registered model's")

    @property
    def uri(self) -> str:
        """As every command takes it."""
        return f"models:/{self.name}/{self.version}"

    def asked(self, tag: Tag) -> str | None:
        """What a tag asks for: the version's word before the model's; blank is nothing."""
        return self.tags.get(tag, "").strip() or self.model_tags.get(tag, "").strip() or None


class Request(Record):
    """What a version is to be explained with, or why that cannot be said."""

    dataset: Path | None
    dataset_digest: str | None
    settings: dict[str, Any] = Field(description="the settings file as written")
    suite_digest: str | None = Field(description="of the suite's file, when the settings name one")
    reference: str | None
    limit: int | None
    output: Path
    problem: str | None = Field(default=None, description="set: nothing can be started, for this reason")
    ignored: tuple[Tag, ...] = Field(default=(), description="tags that ask for something and do not count here")
    chosen_by: dict[str, str] = Field(default={}, description="who chose data set, settings and reference")

    def digest(self, version: WatchedVersion) -> str:
        """Identity of this request for this version; `Tag.RETRY` makes it a new one.

        Where data and results lie, and who is told, are no part of it: they change no result.
        """
        asked = self.model_dump(mode="json", exclude={"output", "dataset", "settings", "ignored", "chosen_by"})
        results = {key: value for key, value in self.settings.items() if key not in _TELLING}
        identity = [version.name, version.version, version.created_ms, version.asked(Tag.RETRY)]
        return digest_of([*identity, asked, results])[:16]


class RunState(StrEnum):
    """What became of a run of the explaining deployment."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    DIED = "died"


class Run(Record):
    """A Prefect flow run, reduced to what is decided by."""

    id: str
    state: RunState
    message: str = Field(default="", description="why it died; may hold anything, so it is cleaned before it is shown")
    last_sign: datetime = Field(description="when it last changed state or gave a sign of life")
    last_step: datetime | None = Field(default=None, description="when it, or a task of it, last changed state; None: not known")
    stopping: bool = Field(default=False, description="it has been asked to stop")


class Action(StrEnum):
    """What one look at a version led to."""

    STARTED = "started"
    RESUMED = "resumed"
    UNDER_WAY = "under way"
    DONE = "done"
    WAITS = "waits"
    GAVE_UP = "gave up"
    NOT_WATCHED = "not watched"
    ERROR = "error"


class Step(Record):
    """What was done about one version, and why."""

    model: str
    version: str
    action: Action
    attempt: int | None = None
    verdict: str | None = None
    detail: str = ""
    run_id: str | None = Field(default=None, description="Prefect flow run")

    @classmethod
    def failed(cls, model: str, version: str, error: Exception) -> Step:
        """The step that `error` ended; the next look at the version tries again."""
        detail = " ".join(str(error).split()) or type(error).__name__
        return cls(model=model, version=version, action=Action.ERROR, detail=detail)


class Pass(Record):
    """One pass over all watched versions."""

    dry_run: bool
    steps: tuple[Step, ...]
    empty: tuple[str, ...] = Field(default=(), description="watched names that no version was found for; patterns left out")

"""Records of the trigger: a registered version, its run, the request for one, and the step taken."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from schemas.base import Record, digest_of
from schemas.tags import Tag

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


class Pass(Record):
    """One pass over all watched versions."""

    dry_run: bool
    steps: tuple[Step, ...]
    empty: tuple[str, ...] = Field(default=(), description="watched names that no version was found for; patterns left out")

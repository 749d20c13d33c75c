"""Settings of governance and signing keys (part of no fingerprint), of privacy, and of report and alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from schemas.alert import AlertLevel, Channel
from schemas.base import Record


class GovernanceConfig(Record):
    """Who answers for the model, what it is for, and whose signatures count."""

    owner: str | None = Field(default=None, description="who answers for the model; goes into the record")
    intended_use: str | None = Field(default=None, description="what the model is meant for; goes into the record as its scope")
    split: str | None = Field(default="validation", description="which split the rows are; goes into the record")
    signing_key: Path | None = Field(
        default=None,
        description="private key file that records and sign-offs are signed with (`calig keys create`); empty: the file that "
        "CALIG_SIGNING_KEY_FILE names, else no signature",
    )
    trusted_keys: Path | None = Field(
        default=None,
        description="list of public keys that count (`calig keys trust`); empty: the file that CALIG_TRUSTED_KEYS names, else "
        "the user's own",
    )
    replay_tolerance: float = Field(
        default=1e-3,
        gt=0.0,
        lt=1.0,
        description="`calig replay`: largest Σ|change| of a row's attributions, as a share of Σ|attribution|, that is rounding",
    )


class PrivacyConfig(Record):
    """How texts appear in tables, record, report, pages, alerts and tags. Ids, labels and segment values stay as they are."""

    texts: Literal["keep", "redact", "hash"] = Field(
        default="keep",
        description="keep: as they are; redact: words become blocks, and a word that a finding is about is named by its place; "
        "hash: words become keyed hashes (key: CALIG_TEXT_KEY_FILE or CALIG_TEXT_KEY), comparable under one key",
    )
    key_id: str | None = Field(
        default=None, description="which key `hash` used, filled in by the run; set it to demand that very key"
    )


#: A name, so that no address or key is written into a settings file by mistake.
EnvironmentVariable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
BlockName = Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")]


class ReportConfig(Record):
    """What the report shows."""

    examples: int = Field(default=24, ge=0, description="examples drawn for paper, and for a browser without scripts")
    rows: int = Field(
        default=10_000, ge=0, description="rows in the report's list, most worth a look first (the Parquet table keeps all)"
    )
    megabytes: float = Field(
        default=25.0, ge=0.0, description="most that the list adds to the report; layers go first, then pictures, then rows"
    )


class AlertConfig(Record):
    """Who is told when a verdict is known. Part of no fingerprint: telling others changes no result."""

    level: AlertLevel = Field(
        default=AlertLevel.WARNING,
        description="least urgent message sent to blocks and the webhook: explained (every run), warning, or failing",
    )
    events: bool = Field(default=True, description="emit Prefect events (all levels), for automations: deploy/automations.yaml")
    blocks: tuple[BlockName, ...] = Field(
        default=(), description="Prefect notification blocks as type/name, e.g. slack-webhook/ops; see `prefect block ls`"
    )
    webhook_url_env: EnvironmentVariable | None = Field(
        default=None, description="environment variable with the address of a signed webhook; empty: none"
    )
    webhook_secret_env: EnvironmentVariable = Field(
        default="CALIG_ALERT_SECRET",
        description="environment variable with the secret that signs it by Standard Webhooks: whsec_…",
    )

    def channels(self, level: AlertLevel) -> tuple[Channel, ...]:
        """Where a message of `level` goes."""
        found = [Channel(kind="prefect")] if self.events else []
        if level.rank >= self.level.rank:
            found += [Channel(kind="block", block=block) for block in dict.fromkeys(self.blocks)]
            if self.webhook_url_env is not None:
                found.append(Channel(kind="webhook", url_env=self.webhook_url_env, secret_env=self.webhook_secret_env))
        return tuple(found)

"""Attacks on sign-offs, at a gate that accepts waivers: forged ones, borrowed ones, and one that was taken back."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

from components import signing
from components.records import read_record
from schemas.evidence import RunPapers
from schemas.signature import Ruling, SignOff
from tests.e2e.attacks.attacker import Attacker, Target
from tests.e2e.attacks.table import attack
from tests.e2e.attacks.world import ACCOMPLICE, SHORTCUT

#: A gate at which a waiver counts at all.
_WAIVED = Target(SHORTCUT, policy={"accept_waivers": True})


@attack("a waiver in the reviewer's name, signed by a stranger's key")
def forged_waiver(attacker: Attacker) -> Target:
    _put(attacker, _forged(attacker, reviewer="Alice"))
    return _WAIVED


@attack("a waiver in the reviewer's name with the stranger's signature, said to be by the reviewer's key")
def waiver_by_a_claimed_key(attacker: Attacker) -> Target:
    entry = json.loads(_forged(attacker, reviewer="Alice").canonical())
    entry["signature"]["key_id"] = attacker.operator.key_id("reviewer")
    _put(attacker, SignOff.model_validate(entry))
    return _WAIVED


@attack("a waiver without a signature")
def unsigned_waiver(attacker: Attacker) -> Target:
    _put(attacker, _forged(attacker, reviewer="Alice").model_copy(update={"signature": None}))
    return _WAIVED


@attack("a waiver that the reviewer gave to another version")
def borrowed_waiver(attacker: Attacker) -> Target:
    attacker.operator.waive(ACCOMPLICE, expires=date(2100, 1, 1))
    _put(attacker, _signed_off(attacker, ACCOMPLICE))
    return _WAIVED


@attack("a waiver that has expired, with a later date written into it")
def prolonged_waiver(attacker: Attacker) -> Target:
    attacker.operator.waive(SHORTCUT, expires=datetime.now(UTC).date())
    entry = _signed_off(attacker, SHORTCUT)
    _put(attacker, entry.model_copy(update={"expires": date(2100, 1, 1)}))
    return _WAIVED


@attack("a genuine waiver, at a gate that accepts none")
def waiver_where_none_counts(attacker: Attacker) -> Target:
    attacker.operator.waive(SHORTCUT, expires=date(2100, 1, 1))
    return Target(SHORTCUT)


@attack("a waiver that the reviewer took back: the rejection is deleted, and the tag names the waiver again")
def rejection_removed(attacker: Attacker) -> Target:
    attacker.operator.waive(SHORTCUT, expires=date(2100, 1, 1))
    noted = {key: value for key, value in attacker.tags(SHORTCUT).items() if key.startswith("calig.signoff")}
    attacker.operator.reject(SHORTCUT)
    (_place(attacker, SHORTCUT) / signing.entry_name(2)).unlink()
    attacker.tag(SHORTCUT, noted)
    return _WAIVED


def _place(attacker: Attacker, version: str) -> Path:
    return attacker.artifacts_of(attacker.run_of(version)) / signing.SIGN_OFFS


def _signed_off(attacker: Attacker, version: str) -> SignOff:
    return SignOff.model_validate_json((_place(attacker, version) / signing.entry_name(1)).read_bytes())


def _put(attacker: Attacker, entry: SignOff) -> None:
    """Beside the shortcut's record, and noted on the version."""
    place = _place(attacker, SHORTCUT)
    place.mkdir(exist_ok=True)
    (place / signing.entry_name(1)).write_bytes(entry.canonical())
    attacker.tag(SHORTCUT, {"calig.signoff.digest": signing.digest_of_entry(entry.canonical())})


def _forged(attacker: Attacker, *, reviewer: str) -> SignOff:
    evidence = attacker.artifacts_of(attacker.run_of(SHORTCUT))
    content = (evidence / signing.RECORD).read_bytes()
    return signing.next_entry(
        RunPapers(run_id="", record=content, seal=None, sign_offs=()),
        read_record(content, evidence),
        ruling=Ruling.WAIVED,
        reviewer=reviewer,
        reason="trust me",
        expires=date(2100, 1, 1),
        signer=attacker.stranger,
        now=datetime.now(UTC),
    )

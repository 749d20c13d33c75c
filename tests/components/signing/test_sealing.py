"""The chain of sign-offs: in order, about this record, by whom it says; and which decision stands."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from components import signing
from components.common.errors import InputError
from schemas.evidence import RunPapers
from schemas.governance import GovernanceReport
from schemas.signature import Chain, Ruling, SignOff
from tests.components.signing.conftest import NOW, Keys


@pytest.fixture
def empty(record: GovernanceReport) -> RunPapers:
    return RunPapers(run_id="r1", record=record.canonical(), seal=None, sign_offs=())


@pytest.fixture
def add(record: GovernanceReport, keys: Keys):
    def added(papers: RunPapers, ruling: Ruling = Ruling.REJECTED, **changes) -> RunPapers:
        days = len(papers.sign_offs)
        said = {
            "reviewer": "Alice",
            "reason": "looked at",
            "expires": None,
            "signer": keys.alice,
            "now": NOW + timedelta(days=days),
        }
        entry = signing.next_entry(papers, record, ruling=ruling, **(said | changes))
        return papers.model_copy(update={"sign_offs": (*papers.sign_offs, entry.canonical())})

    return added


def read(papers: RunPapers, record: GovernanceReport, keys: Keys) -> Chain:
    return signing.read_chain(papers, record, keys.trusted)


@pytest.fixture
def three(empty: RunPapers, add) -> RunPapers:
    return add(add(add(empty), Ruling.WAIVED, expires=date(2026, 12, 31)), Ruling.APPROVED)


def test_entries_follow_each_other_and_the_last_stands(three: RunPapers, record, keys: Keys) -> None:
    chain = read(three, record, keys)
    assert [entry.ruling for entry in chain.entries] == [Ruling.REJECTED, Ruling.WAIVED, Ruling.APPROVED]
    assert signing.standing([chain]) == chain.entries[2]
    assert signing.standing([Chain(run_id="r", entries=())]) is None
    assert [signing.entry_name(entry.number) for entry in chain.entries] == ["0001.json", "0002.json", "0003.json"]


@pytest.mark.parametrize("kept", [(1, 2), (0, 2), (1, 0, 2), (0, 0), (2,)])
def test_an_entry_taken_away_moved_or_repeated_is_found(three: RunPapers, record, keys: Keys, kept: tuple[int, ...]) -> None:
    broken = three.model_copy(update={"sign_offs": tuple(three.sign_offs[i] for i in kept)})
    with pytest.raises(signing.TamperedError, match="does not follow"):
        read(broken, record, keys)


@pytest.mark.parametrize("place", range(0, 700, 23))
def test_a_changed_byte_is_found(three: RunPapers, record, keys: Keys, place: int) -> None:
    content = three.sign_offs[1]
    place %= len(content)
    changed = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    with pytest.raises(InputError):
        read(three.model_copy(update={"sign_offs": (three.sign_offs[0], changed, three.sign_offs[2])}), record, keys)


def test_an_entry_about_another_record_does_not_count(three: RunPapers, record, keys: Keys) -> None:
    other = record.model_copy(update={"fingerprint": "00" * 32})
    with pytest.raises(signing.TamperedError, match="about another record"):
        read(three.model_copy(update={"record": other.canonical()}), other, keys)


def test_unknown_keys_other_purposes_and_other_names_do_not_count(empty: RunPapers, add, record, keys: Keys) -> None:
    with pytest.raises(signing.UnknownKeyError, match="unknown key"):
        read(add(empty, signer=keys.mallory), record, keys)
    with pytest.raises(signing.UnknownKeyError, match="not trusted for sign-offs"):
        read(add(empty, reviewer="pipeline", signer=keys.pipeline), record, keys)
    with pytest.raises(InputError, match=r"(?s)not by its reviewer.*Bob.*Alice"):
        read(add(empty, reviewer="Bob"), record, keys)
    unsigned = SignOff.model_validate_json(add(empty).sign_offs[0]).model_copy(update={"signature": None})
    with pytest.raises(signing.BadSignatureError, match="not signed"):
        read(empty.model_copy(update={"sign_offs": (unsigned.canonical(),)}), record, keys)


def test_a_rejection_outlives_a_new_explanation_and_an_approval_does_not(empty: RunPapers, add, record, keys: Keys) -> None:
    rejected, approved = (read(add(empty, ruling), record, keys) for ruling in (Ruling.REJECTED, Ruling.APPROVED))
    fresh = read(empty, record, keys)
    assert signing.standing([fresh, rejected]) == rejected.last
    assert signing.standing([fresh, approved]) is None
    later = read(add(empty, Ruling.APPROVED, now=NOW + timedelta(days=5)), record, keys)
    assert signing.standing([later, rejected]) == later.last
    assert signing.standing([approved, read(add(empty, now=NOW + timedelta(days=9)), record, keys)]).ruling is Ruling.REJECTED


def test_waivers_alone_have_an_expiry(empty: RunPapers, add) -> None:
    with pytest.raises(ValueError, match="a waiver has an expiry"):
        add(empty, Ruling.WAIVED)
    with pytest.raises(ValueError, match="a waiver has an expiry"):
        add(empty, Ruling.APPROVED, expires=date(2026, 12, 31))
    waiver = SignOff.model_validate_json(add(empty, Ruling.WAIVED, expires=date(2026, 12, 31)).sign_offs[0])
    assert not waiver.expired(date(2026, 12, 31))
    assert waiver.expired(date(2027, 1, 1))

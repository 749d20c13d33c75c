"""Values by id beside a dictionary."""

from array import array

import numpy as np
import pytest

from components.table import by_id
from components.table.by_id import ById, id_digest, repeated


def values_of(ids: list[str]) -> ById:
    return ById(array("Q", map(by_id.id_digest, ids)), np.arange(len(ids)))


def test_every_id_has_its_value_and_others_have_none() -> None:
    ids = [f"row {i}" for i in range(1000)]
    values = values_of(ids)
    assert len(values) == 1000
    assert [values.of(name).tolist() for name in ids] == [[i] for i in range(1000)]
    assert values.of("another").tolist() == []
    assert values_of([]).of("row 1").tolist() == []


def test_ids_of_one_digest_give_all_their_values_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_id, "id_digest", len)
    assert values_of(["bb", "a", "cc", "ddd"]).of("xx").tolist() == [0, 2]


def test_a_digest_is_unsigned_and_takes_any_text() -> None:
    found = [id_digest(name) for name in ("", "é", "\ud800", "row 1")]
    assert len(set(found)) == 4
    assert all(0 <= digest < 2**64 for digest in found)


@pytest.mark.parametrize(
    ("digests", "found"),
    [([], set()), ([3], set()), ([3, 1, 2**64 - 1], set()), ([3, 1, 3, 2**64 - 1, 2**64 - 1, 3], {3, 2**64 - 1})],
)
def test_repeated_digests(digests: list[int], found: set[int]) -> None:
    assert repeated(array("Q", digests)) == found

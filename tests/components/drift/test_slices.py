"""Cuts of the paired examples: no example twice in one, whatever the data set calls its columns."""

from __future__ import annotations

from components.drift.pairing import groups
from tests.helpers.drift_tables import example


def test_a_segment_called_class_is_not_the_predicted_class() -> None:
    """Two columns of one name become one without a word (datafusion#24381): here every row would have counted twice."""
    examples = [example([1.0], [1.0], id=str(i), segments={"class": "POS", "site": "a"}) for i in range(12)]
    members = {name: [one.id for one in some] for name, some in groups(examples)}
    assert list(members) == ["all", "class = POS", "segment class = POS", "site = a"]
    assert all(len(ids) == len(set(ids)) == 12 for ids in members.values())

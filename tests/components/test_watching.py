"""What tags may name, what a reason may hold, and when a failed run is tried again: no registry, no Prefect."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import watching
from components.errors import InputError
from schemas.trigger import WatchedVersion
from schemas.watch import ExplainWith, WatchConfig

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def version(**tags: str) -> WatchedVersion:
    return WatchedVersion(
        name="m", version="1", created_ms=0, status="READY", tags={f"calig.{k}": v for k, v in tags.items()}, model_tags={}
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An allowed folder, with a neighbour whose name begins alike and links that lead out of it."""
    root = tmp_path / "data"
    (root / "inner").mkdir(parents=True)
    (tmp_path / "data-private").mkdir()
    for file in (root / "rows.jsonl", root / "inner" / "rows.jsonl", tmp_path / "data-private" / "rows.jsonl"):
        file.write_text("{}")
    (root / "out").symlink_to(tmp_path / "data-private")
    (root / "in").symlink_to(root / "inner")
    (root / "loop").symlink_to(root / "loop")
    return root


@pytest.mark.parametrize("text", ["rows.jsonl", "{root}/rows.jsonl", "inner/../rows.jsonl", " rows.jsonl "])
def test_paths_inside_are_taken(root: Path, text: str) -> None:
    asked = watching.asked_for(version(dataset=text.format(root=root)), ExplainWith(), [root])
    assert asked.dataset == (root / "rows.jsonl").resolve()


def test_a_link_that_stays_inside_is_followed(root: Path) -> None:
    assert (
        watching.asked_for(version(config="in/rows.jsonl"), ExplainWith(), [root]).config
        == root.resolve() / "inner" / "rows.jsonl"
    )


@pytest.mark.parametrize(
    "text",
    [
        "/etc/passwd",
        "../data-private/rows.jsonl",
        "{root}-private/rows.jsonl",
        "{root}/../data-private/rows.jsonl",
        "out/rows.jsonl",
        "loop",
        "rows.jsonl\0.txt",
        "/no/such/file",
        "~/rows.jsonl/../../../etc/passwd",
    ],
)
@pytest.mark.parametrize("tag", ["dataset", "config"])
def test_paths_outside_are_refused_whether_or_not_anything_is_there(root: Path, text: str, tag: str) -> None:
    with pytest.raises(InputError, match=r"outside the allowed folders|does not exist"):
        watching.asked_for(version(**{tag: text.format(root=root)}), ExplainWith(), [root])


def test_what_is_outside_is_not_told_apart_by_its_existence(root: Path) -> None:
    said = []
    for text in ("/etc/passwd", "/etc/no-such-file"):
        with pytest.raises(InputError) as error:
            watching.asked_for(version(dataset=text), ExplainWith(), [root])
        said.append(str(error.value).replace(text, ""))
    assert said[0] == said[1]


@given(st.text(max_size=40))
def test_no_text_leads_out(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    root = tmp_path_factory.getbasetemp() / "any-text"
    root.mkdir(exist_ok=True)
    try:
        asked = watching.asked_for(version(dataset=text), ExplainWith(), [root])
    except InputError:
        return
    assert asked.dataset is None or asked.dataset.is_relative_to(root.resolve())


def test_without_allowed_folders_tags_name_nothing(root: Path) -> None:
    with pytest.raises(InputError, match="tags may name none"):
        watching.asked_for(version(dataset=str(root / "rows.jsonl")), ExplainWith(), [])


@pytest.mark.parametrize("text", ["/etc", "runs/m/1", "hub/model@rev", "file:///etc"])
def test_a_reference_by_tag_is_a_registered_version(root: Path, text: str) -> None:
    with pytest.raises(InputError, match="must name a registered version"):
        watching.asked_for(version(reference=text), ExplainWith(), [root])


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("http://user:hunter22@mlflow:5000 refused", "hunter22"),
        ("postgresql://calig:p%40ss:w@db/x", "p%40ss"),
        ("AWS_SECRET_ACCESS_KEY=abc/def+ghi is wrong", "abc/def"),
        ("Authorization: Bearer eyJhbGciOi", "eyJhbGciOi"),
        ("password = 'open sesame' token:t0ken", "t0ken"),
        ("password = 'open sesame' token:t0ken", "sesame"),
        ("key from the environment: zq-81-very-secret", "zq-81-very-secret"),
    ],
)
def test_a_reason_holds_no_credentials(monkeypatch: pytest.MonkeyPatch, text: str, hidden: str) -> None:
    monkeypatch.setenv("SOME_TOKEN", "zq-81-very-secret")
    cleaned = watching.clean_reason(text)
    assert hidden not in cleaned
    assert "***" in cleaned


def test_a_reason_is_one_short_line() -> None:
    cleaned = watching.clean_reason("first\n  second\n" + "x" * 1000)
    assert cleaned.startswith("first second xxx")
    assert len(cleaned) == 500


@pytest.mark.parametrize(("attempt", "pause_s"), [(1, 60), (2, 120), (3, 240), (7, 3600), (100, 3600)])
def test_pauses_double_up_to_an_hour(attempt: int, pause_s: int) -> None:
    watch = WatchConfig.model_validate({"models": [{"name": "m"}], "max_attempts": 101})
    after = watching.after_failure("Crashed: x", attempt, MOMENT, watch)
    assert after == (False, MOMENT + timedelta(seconds=pause_s))


def test_digests_cover_content_and_not_names_of_folders(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        (folder / "part").mkdir(parents=True)
        (folder / "part" / "data.arrow").write_bytes(b"rows")
    assert watching.digest_of_data(one) == watching.digest_of_data(two)
    (two / "part" / "data.arrow").write_bytes(b"ROWS!")
    assert watching.digest_of_data(one) != watching.digest_of_data(two)
    with pytest.raises(InputError, match="data set cannot be read"):
        watching.digest_of_data(tmp_path / "gone.jsonl")


def test_the_first_entry_that_fits_counts_and_defaults_fill_in() -> None:
    watch = WatchConfig.model_validate(
        {
            "models": [{"name": "a-*", "limit": 5}, {"name": "a-b", "limit": 9}],
            "defaults": {"dataset": "d.jsonl", "limit": 3, "output": "o"},
        }
    )
    found = watch.entry_for("a-b")
    assert found is not None
    assert (found.limit, found.dataset, found.output) == (5, Path("d.jsonl"), Path("o"))
    assert watch.entry_for("b") is None
    assert watch.entry_for("A-b") is None

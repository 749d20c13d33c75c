"""What tags may name, what a reason may hold, and when a failed run is tried again: no registry, no Prefect."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from components import watching
from components.common.errors import InputError
from schemas.trigger import ExplainWith, WatchConfig, WatchedVersion

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def version(**tags: str) -> WatchedVersion:
    return WatchedVersion(
        name="m", version="1", created_ms=0, status="READY", tags={f"calig.{k}": v for k, v in tags.items()}, model_tags={}
    )


def watching_for(root: Path | None = None, *tags: str, **settings: object) -> WatchConfig:
    """A watch file that admits `tags`, with data and settings below `root`, each in a folder of its own unless `settings` say."""
    roots = {} if root is None else {"data_roots": [str(root)]}
    return WatchConfig.model_validate({"models": [{"name": "m"}], "tags": tags, **roots, **settings})


def asked_by(root: Path, tag: str, text: str) -> ExplainWith:
    """What an admitted tag leads to, `root` being the root for its kind."""
    roots = {"data_roots": [str(root)]} if tag == "dataset" else {"settings_roots": [str(root)]}
    watch = WatchConfig.model_validate({"models": [{"name": "m"}], "tags": [tag], **roots})
    return watching.asked_for(version(**{tag: text}), ExplainWith(), watch).explain_with


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
    assert asked_by(root, "dataset", text.format(root=root)).dataset == (root / "rows.jsonl").resolve()


def test_a_link_that_stays_inside_is_followed(root: Path) -> None:
    assert asked_by(root, "config", "in/rows.jsonl").config == root.resolve() / "inner" / "rows.jsonl"


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
        asked_by(root, tag, text.format(root=root))


def test_what_is_outside_is_not_told_apart_by_its_existence(root: Path) -> None:
    said = []
    for text in ("/etc/passwd", "/etc/no-such-file"):
        with pytest.raises(InputError) as error:
            asked_by(root, "dataset", text)
        said.append(str(error.value).replace(text, ""))
    assert said[0] == said[1]


@settings(deadline=None)  # how long resolving a path takes is the disk's matter
@given(st.text(max_size=40))
def test_no_text_leads_out(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    root = tmp_path_factory.getbasetemp() / "any-text"
    root.mkdir(exist_ok=True)
    try:
        asked = asked_by(root, "dataset", text)
    except InputError:
        return
    assert asked.dataset is None or asked.dataset.is_relative_to(root.resolve())


@pytest.mark.parametrize(("tag", "setting"), [("dataset", "data_roots"), ("config", "settings_roots")])
def test_without_folders_for_their_kind_admitted_tags_name_nothing(root: Path, tag: str, setting: str) -> None:
    other = {"data_roots": "settings_roots", "settings_roots": "data_roots"}[setting]
    watch = WatchConfig.model_validate({"models": [{"name": "m"}], "tags": [tag], other: [str(root)]})
    with pytest.raises(InputError, match=f"(?s)tags may name none.*{setting}"):
        watching.asked_for(version(**{tag: str(root / "rows.jsonl")}), ExplainWith(), watch)


@pytest.mark.parametrize("text", ["/etc", "runs/m/1", "hub/model@rev", "file:///etc"])
def test_a_reference_by_tag_is_a_registered_version(text: str) -> None:
    with pytest.raises(InputError, match="must name a registered version"):
        watching.asked_for(version(reference=text), ExplainWith(), watching_for(None, "reference"))


def test_by_default_no_tag_chooses_anything_and_each_is_named(root: Path) -> None:
    entry = ExplainWith(dataset=Path("own.jsonl"))
    tags = {"dataset": "/etc/passwd", "config": "x.yaml", "reference": "models:/m/1", "twin_of": "1", "retry": "now"}
    asked = watching.asked_for(version(**tags), entry, watching_for(root))
    assert asked.explain_with == entry
    assert asked.ignored == ("calig.dataset", "calig.config", "calig.reference", "calig.twin_of")
    assert asked.chosen_by == {"dataset": "watch file", "config": "default", "reference": "default"}


def test_an_admitted_tag_counts_and_is_named_as_who_chose(root: Path) -> None:
    watch = watching_for(root, "dataset")
    asked = watching.asked_for(version(dataset="rows.jsonl", reference="models:/m/1"), ExplainWith(), watch)
    assert asked.chosen_by == {"dataset": "tag calig.dataset", "config": "default", "reference": "default"}
    assert asked.ignored == ("calig.reference",)
    assert not asked.config_by_tag


@pytest.mark.parametrize(
    ("data", "settings"), [("one", "one"), ("one", "one/inner"), ("one/inner", "one"), ("link", "one"), ("one/../one", "one")]
)
def test_data_and_settings_have_folders_of_their_own(tmp_path: Path, data: str, settings: str) -> None:
    (tmp_path / "one" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "one")
    roots = {"data_roots": [str(tmp_path / data)], "settings_roots": [str(tmp_path / settings)]}
    with pytest.raises(ValidationError, match="overlap"):
        WatchConfig.model_validate({"models": [{"name": "m"}], **roots})


def test_twins_belong_to_one_model() -> None:
    with pytest.raises(ValidationError, match="name the model in full"):
        WatchConfig.model_validate({"models": [{"name": "m-*", "twins": {1: [2]}}]})


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"gate": {"accept_waivers": True}}, "gate"),
        ({"governance": {"trusted_keys": "mine.yaml"}}, "governance"),
        ({"execution": {"store": "s3://mine"}, "alerts": {}}, "alerts, execution"),
        ({"privacy": {"texts": "keep"}}, "privacy"),
        ({"quality": {"expectation_modules": ["mine"]}}, "quality.expectation_modules"),
        ({"drift": {"twins": {1: [2]}}}, "drift.twins"),
        ({"drift": {"noise_cap": 9}}, "drift.noise_cap"),
        ({"drift": {"twin_tags": True}}, "drift.twin_tags"),
        ({"probe": {"twins": ["models:/m/2"]}}, "probe.twins"),
        ({"probe": {"across_versions": "lord", "level_floor": 1e-6}}, "probe.across_versions, probe.level_floor"),
    ],
)
def test_settings_by_tag_cannot_grant_trust(tmp_path: Path, settings: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=f"only the operator may set\ngot: {re.escape(named)}"):
        watching.tagged_settings(settings, {}, [tmp_path], ["default"])


def test_settings_by_tag_leave_the_operators_own_in_force(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text("")
    tagged = {"quality": {"suite": "suite.yaml", "seed": 3}, "drift": {"top_k": 5}}
    operators = {"gate": {"max_age_days": 3}, "drift": {"noise_cap": 1.2, "top_k": 2}, "quality": {"expectation_modules": ["m"]}}
    assert watching.tagged_settings(tagged, operators, [tmp_path], []) == {
        "quality": {"suite": str((tmp_path / "suite.yaml").resolve()), "seed": 3, "expectation_modules": ["m"]},
        "drift": {"top_k": 5, "noise_cap": 1.2},
        "gate": {"max_age_days": 3},
    }


@pytest.mark.parametrize(
    "place", [("quality", "suite"), ("probe", "word_list"), ("probe", "transformation_words"), ("drift", "sets_file")]
)
def test_settings_by_tag_name_files_among_the_settings_only(tmp_path: Path, place: tuple[str, str]) -> None:
    with pytest.raises(InputError, match=f"(?s){place[1]}.*outside the allowed folders"):
        watching.tagged_settings({place[0]: {place[1]: "/etc/passwd"}}, {}, [tmp_path], ["default"])
    assert watching.tagged_settings({"quality": {"suite": "default"}}, {}, [], ["default"]) == {"quality": {"suite": "default"}}


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


def saved_dataset(folder: Path) -> Path:
    """A folder as `datasets` saves one, as far as digests look at it."""
    folder.mkdir(parents=True)
    (folder / "state.json").write_text("{}")
    (folder / "data-00000-of-00001.arrow").write_bytes(b"rows")
    return folder


def test_digests_cover_content_and_not_names_of_folders(tmp_path: Path) -> None:
    one, two = (saved_dataset(tmp_path / name) for name in ("one", "two"))
    assert watching.digest_of_data(one, 100) == watching.digest_of_data(two, 100)
    (two / "data-00000-of-00001.arrow").write_bytes(b"ROWS!")
    assert watching.digest_of_data(one, 100) != watching.digest_of_data(two, 100)
    with pytest.raises(InputError, match="data set cannot be read"):
        watching.digest_of_data(tmp_path / "gone.jsonl", 100)


def test_a_root_is_no_data_set_and_nothing_in_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.jsonl").write_text("{}")
    monkeypatch.setattr("components.watching._digest", None)
    with pytest.raises(InputError, match="no saved data set"):
        watching.digest_of_data(asked_by(tmp_path, "dataset", ".").dataset or Path(), 100)


def test_the_work_of_a_digest_is_bounded_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.watching._digest", None)
    large = tmp_path / "large.jsonl"
    with large.open("wb") as stream:
        stream.truncate(101)
    for path in (large, saved_dataset(tmp_path / "saved")):
        with pytest.raises(InputError, match="larger than the watch file allows"):
            watching.digest_of_data(path, 5)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no regular file"):
        watching.digest_of_data(tmp_path / "pipe", 100)
    many = saved_dataset(tmp_path / "many")
    for i in range(1000):
        (many / f"{i}.arrow").touch()
    with pytest.raises(InputError, match="more than 1000 files"):
        watching.digest_of_data(many, 100)


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

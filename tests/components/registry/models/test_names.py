"""What may name a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.common.errors import InputError
from components.drift import is_results_folder
from components.registry import parse_model_ref
from schemas.release import ModelSource, folder_name

SHA = "0123456789abcdef0123456789abcdef01234567"


def _refused(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_model_ref(text)
    return str(caught.value)


def test_a_version_of_a_registered_model() -> None:
    ref = parse_model_ref(" models:/reviews v2.1/07 ")
    assert (ref.source, ref.name, ref.version, ref.alias) == (ModelSource.REGISTRY, "reviews v2.1", "7", None)


def test_an_alias_of_a_registered_model() -> None:
    ref = parse_model_ref("models:/reviews@champion")
    assert (ref.source, ref.name, ref.version, ref.alias) == (ModelSource.REGISTRY, "reviews", None, "champion")


@pytest.mark.parametrize("name", ["a@b", "team\\reviews", "評" * 100, "50% @home"])
def test_names_that_mlflow_admits(name: str) -> None:
    assert parse_model_ref(f"models:/{name}/3").name == name
    by_alias = parse_model_ref(f"models:/{name}@champion")
    assert (by_alias.name, by_alias.alias) == (name, "champion")


@pytest.mark.parametrize(
    ("name", "folder"), [("reviews v2.1", "reviews v2.1"), ("org/name", "org--name"), ("評価", "評価"), ("a@b", "a@b")]
)
def test_an_ordinary_name_is_its_folder(name: str, folder: str) -> None:
    assert folder_name(name) == folder


@pytest.mark.parametrize("name", ["評" * 100, "team\\reviews", ".cache", "..", "x" * 300, "tab\t", "dot."])
def test_any_name_has_a_folder_of_its_own(name: str, tmp_path: Path) -> None:
    folder = folder_name(name)
    (tmp_path / folder / "1").mkdir(parents=True)
    assert Path(folder).name == folder
    assert not folder.startswith(".")
    assert folder != folder_name(f"{name}x")


@pytest.mark.parametrize("latest", ["latest", "Latest"])
def test_latest_is_refused_with_the_way_out(latest: str) -> None:
    message = _refused(f"models:/reviews/{latest}")
    assert "moves" in message
    assert "models:/reviews@champion" in message


def test_an_address_is_never_looked_up_in_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models:" / "reviews" / "2"
    folder.mkdir(parents=True)
    for name in ("config.json", "record.json"):
        (folder / name).write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert parse_model_ref("models:/reviews/2").source is ModelSource.REGISTRY
    for text in ("models:/reviews/2", " models:/reviews/2", "s3://bucket/x", "MODELS:/reviews/2"):
        assert not is_results_folder(text)
        assert not is_results_folder(Path(text)), "a path written like an address is none either"
    assert is_results_folder("./models:/reviews/2"), "as whoever means the folder writes it"


@pytest.mark.parametrize(
    "text",
    ["models:/reviews", "models:/reviews/", "models:/m-0123/a/b", "models:/../1", "models:/reviews/Production", "models:/@x"],
)
def test_what_is_no_version_is_refused_with_the_forms_allowed(text: str) -> None:
    assert "models:/NAME/VERSION" in _refused(text)


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    ref = parse_model_ref(str(tmp_path / "model"))
    assert (ref.source, ref.name, ref.uri) == (ModelSource.FOLDER, "model", str((tmp_path / "model").resolve()))


def test_a_folder_without_config_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "config.json" in _refused(str(tmp_path))
    assert "this is a file" in _refused(str(tmp_path / "file"))


@pytest.mark.parametrize("text", [f"org/name@{SHA}", "org/name@v1.0", "name@v1.0"])
def test_a_pinned_hub_model(text: str) -> None:
    ref = parse_model_ref(text)
    assert (ref.source, f"{ref.name}@{ref.revision}") == (ModelSource.HUB, text)


@pytest.mark.parametrize("text", ["org/name", "name", "org/name@main"])
def test_a_hub_model_must_be_pinned(text: str) -> None:
    message = _refused(text)
    assert "pinned" in message
    assert f"{text.removesuffix('@main')}@<revision>" in message


@pytest.mark.parametrize("text", ["runs:/1/model", "s3://bucket/model", "https://host/model", "./gone/away/model", ""])
def test_anything_else_lists_what_is_allowed(text: str) -> None:
    assert "allowed: models:/NAME/VERSION, models:/NAME@alias, a folder" in _refused(text)

"""The lists of families in the README, and of refused types in the documentation, are those of the table."""

from pathlib import Path

from calig.families import FAMILIES, REFUSED

ROOT = Path(__file__).parents[2]


def named(types: list[str]) -> str:
    return ", ".join(f"`{model_type}`" for model_type in sorted(types))


def words_of(path: str) -> str:
    return " ".join((ROOT / path).read_text(encoding="utf-8").split())


def test_the_readme_lists_the_families_of_the_table():
    text, image = ([name for name, f in FAMILIES.items() if f.modality == modality] for modality in ("text", "image"))
    assert f"Text classifiers: {named(text)}. Image classifiers: {named(image)}. Safetensors" in words_of("README.md")


def test_the_documentation_lists_what_is_refused():
    assert f"what to do: {named(list(REFUSED))}." in words_of("deploy/docs/how-to/own-model.md")


def test_no_type_is_both_explained_and_refused():
    assert not FAMILIES.keys() & REFUSED.keys()

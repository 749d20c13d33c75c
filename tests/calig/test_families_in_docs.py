"""The README's lists of families and of refused types are those of the table."""

from pathlib import Path

from calig.families import FAMILIES, REFUSED

README = Path(__file__).parents[2] / "README.md"


def named(types: list[str]) -> str:
    return ", ".join(f"`{model_type}`" for model_type in sorted(types))


def test_the_readme_lists_the_families_of_the_table():
    text, image = ([name for name, f in FAMILIES.items() if f.modality == modality] for modality in ("text", "image"))
    readme = " ".join(README.read_text(encoding="utf-8").split())
    assert f"Text classifiers: {named(text)}. Image classifiers: {named(image)}. Refused" in readme
    assert f"what to do: {named(list(REFUSED))}." in readme


def test_no_type_is_both_explained_and_refused():
    assert not FAMILIES.keys() & REFUSED.keys()

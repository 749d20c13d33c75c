"""The lists of families in the README, and of refused types in the documentation, are those of the table."""

import json
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


def test_every_family_was_held_against_captum():
    """The table in the documentation is that of the last run of `make bench-parity`, and no family is missing there."""
    measured = json.loads((ROOT / "tests/benchmarks/results/parity.json").read_text(encoding="utf-8"))["lines"]
    shown = (ROOT / "deploy/docs/measures.md").read_text(encoding="utf-8")
    assert {line["family"] for line in measured} == set(FAMILIES)
    assert {line["input"] for line in measured} == {"text", "pair", "image"}
    for line in measured:
        errors = f"{line['float64']:.0e} | {line['float32']:.0e} | {line['points']:.1f} | {100 * line['error']:.2f} %"
        assert f"| `{line['family']}`" in shown
        assert errors in shown, line["family"]
        assert line["float64"] < 1e-6 > line["float32"] / 10, line["family"]

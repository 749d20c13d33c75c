"""Tags have one home: their public names, and that no other source file spells one out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.tags import Tag, alert_tag, sign_off_entry

ROOT = Path(__file__).parents[2]
#: Names that begin like tags and are none: loggers, kinds of signed documents, a table's metadata, events and their labels.
NO_TAGS = {
    *("calig.cache", "calig.listener"),
    *("calig.seal", "calig.sign-off", "calig.table_version"),
    *("calig.explained", "calig.drift.failed", "calig.drift.warned", "calig.quality.failed", "calig.quality.warned"),
    *("calig.model-version.", "calig.level"),
}
_LIKE_A_TAG = re.compile(r"(^|`)calig\.[a-z]")


def test_the_public_names_are_these():
    """Who reads MLflow by other means than calig relies on them."""
    assert {str(tag) for tag in Tag} == {
        *("calig.dataset", "calig.config", "calig.reference", "calig.twin_of", "calig.retry"),
        *("calig.state", "calig.attempts", "calig.reason", "calig.request", "calig.settled"),
        *("calig.verdict", "calig.fingerprint", "calig.run_id", "calig.model", "calig.version", "calig.published"),
        *("calig.data_digest", "calig.method_fingerprint", "calig.record_digest", "calig.signing_key"),
        *("calig.signoff", "calig.signoff.reviewer", "calig.signoff.expires", "calig.signoff.digest"),
    }
    assert sign_off_entry(7) == "calig.signoff.0007"
    assert alert_tag("failing", "0123456789abcdef") == "calig.alert.failing.0123456789ab"


def _spelled_out(source: str) -> Iterator[str]:
    """String literals that look like a tag, docstrings and other bare strings left out."""
    tree = ast.parse(source)
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in bare:
            text = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
            if isinstance(text, str) and _LIKE_A_TAG.search(text) and text not in NO_TAGS:
                yield text


def test_no_other_file_spells_a_tag_out():
    sources = [path for folder in ("components", "flows", "schemas") for path in (ROOT / folder).rglob("*.py")]
    found = {path.relative_to(ROOT).as_posix(): list(_spelled_out(path.read_text(encoding="utf-8"))) for path in sources}
    assert found.pop("schemas/tags.py"), "the one file that may"
    assert {path: texts for path, texts in found.items() if texts} == {}, "name it in schemas/tags.py, or in NO_TAGS"


@pytest.mark.parametrize("code", ['"calig.verdict"', 'f"calig.alert.{x}"', 'f"tags.`calig.published` = 1"', 'x["calig.new"]'])
def test_a_tag_spelled_out_is_seen(code: str):
    assert list(_spelled_out(f"x = {code}"))

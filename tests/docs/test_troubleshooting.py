"""The page of symptoms quotes messages as the code writes them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "deploy" / "docs" / "how-to" / "troubleshooting.md"


def written() -> str:
    """Every text in the sources, pieces that Python joins as one, expressions in them as they stand."""
    texts = []
    for folder in ("calig", "components", "flows"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            texts += [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
            texts += [ast.unparse(node)[2:-1] for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    return "\n".join(texts)


def test_messages_are_those_of_the_code() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## calig says")[2].partition("## Something else")[0]
    messages = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
    assert len(messages) > 15
    sources = written()
    assert [message for message in messages if message not in sources] == []

"""A strict reader of our own HTML pages: elements, attributes, and the texts of heat maps."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

_VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """Elements, texts and packed blocks of a page; fails on tags that do not nest."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = source
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.heat: dict[int, str] = {}
        self.style = self.script = ""
        self.blocks: dict[str, str] = {}
        self._articles = 0
        self._open: list[tuple[str, dict[str, str]]] = []
        self.feed(source)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._articles += tag == "article"
        element = (tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1][0] == tag, f"</{tag}> closes {self._open[-1]}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if not self._open:
            return
        tag, attributes = self._open[-1]
        if tag == "script" and attributes:
            assert attributes["type"] == "application/octet-stream", "data that a browser must not run"
            self.blocks[attributes["id"].removeprefix("block-")] = data
        elif tag in {"style", "script"}:
            setattr(self, tag, data)
        if any(element[1].get("class") == "heat" for element in self._open) and not self._inside("details"):
            self.heat[self._articles] = self.heat.get(self._articles, "") + data

    def _inside(self, tag: str) -> bool:
        return any(name == tag for name, _ in self._open)

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.elements if name in attributes]

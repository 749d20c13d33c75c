"""Lists of the registry over all pages: MLflow cuts every answer (mlflow#9363, #7417, #15164)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from components.registry.evidence.runs import runs_of_version
from components.registry.versions.lookup import all_versions

_PER_PAGE = 3


class Pages:
    """A client whose lists have 10 entries and come in pages of 3; the last one is full, as when the number fits."""

    def __init__(self, entries: list[Any]) -> None:
        self._entries = entries

    def _page(self, *_: Any, page_token: str | None = None, **__: Any) -> Any:
        start = int(page_token or 0)
        page = _Page(self._entries[start : start + _PER_PAGE])
        page.token = str(start + _PER_PAGE) if start + _PER_PAGE < len(self._entries) else None
        return page

    search_model_versions = search_runs = _page

    def get_experiment_by_name(self, _: str) -> Any:
        return SimpleNamespace(experiment_id="1")


class _Page(list[Any]):
    token: str | None = None


def test_all_versions_of_all_pages() -> None:
    versions = [SimpleNamespace(version=str(number)) for number in range(9)]
    assert all_versions(Pages(versions), "it's a model") == versions


def test_all_explanations_of_all_pages() -> None:
    tags = {"calig.model": "m", "calig.version": "1", "calig.published": "true"}
    data = SimpleNamespace(tags=tags)
    runs = [SimpleNamespace(info=SimpleNamespace(status="FINISHED", run_id=str(number)), data=data) for number in range(10)]
    assert runs_of_version(Pages(runs), "m", "1") == runs

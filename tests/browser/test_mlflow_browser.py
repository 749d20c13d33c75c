"""MLflow's own pages on a real server: from a version, its run or its logged model to verdict and report in two clicks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from components.report import build
from tests.components.registry.publishing import new_version, results_for
from tests.conftest import TinyRegistry
from tests.helpers import sample_records
from tests.helpers.mlflow_server import running_mlflow_server
from tests.helpers.tiny_models import save_tiny_bert
from tests.helpers.tracking import connected

pytestmark = pytest.mark.slow
_PATIENCE_MS = 60_000  # MLflow's pages ask a server with one worker for dozens of things


class Published(NamedTuple):
    """Addresses of the pages that lead to one explanation."""

    version: str
    run: str
    logged_model: str


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    folder = tmp_path_factory.mktemp("shown")
    with running_mlflow_server(folder) as uri, connected(uri):
        tiny = TinyRegistry(uri, save_tiny_bert(folder / "bert"), folder)
        results = results_for(new_version(tiny, "shown", folder), folder / "results")
        (folder / "sample").mkdir()
        sample = sample_records.drifted(folder / "sample")
        build(results.record, sample.tables, sample.reference_tables, path=results.folder / "report.html")
        run = results.publish().run_url
        model_id = str(results.record.model.model_id)
        experiment = results.client.get_logged_model(model_id).experiment_id
        yield Published(f"{uri}/#/models/shown/versions/1", run, f"{uri}/#/experiments/{experiment}/models/{model_id}")


@pytest.mark.parametrize("start", Published._fields)
def test_verdict_at_once_and_the_report_one_click_away(browser: Any, published: Published, start: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(_PATIENCE_MS)
    page.goto(getattr(published, start))
    page.get_by_text("CA-LIG: fail").first.wait_for()
    page.get_by_role("cell", name="✗ fail").first.wait_for(state="attached")  # the run's page folds what is below
    with page.expect_popup() as opened:  # MLflow opens links of a description in a page of their own
        page.get_by_role("link", name="Open the report").first.click()
    opened.value.set_default_timeout(_PATIENCE_MS)
    frame = opened.value.frame_locator("iframe")
    frame.get_by_role("heading", name="Fail").first.wait_for()
    frame.get_by_role("link", name="Examples").first.wait_for()
    page.context.close()

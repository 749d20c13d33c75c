"""Reconciling on a real MLflow store, with Prefect's side injected: what is started, resumed, given up, and left alone."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import pytest
from typer.testing import CliRunner

from components import registry
from components.common.configuration import config_from
from components.common.errors import InputError
from flows.cli.app import app
from flows.evidence.standing import explanation_of, verifier
from flows.reconcile import look_at, run_pass
from schemas.signature import TrustList
from schemas.tags import Tag
from schemas.trigger import Action, Run, RunState, Step, WatchConfig
from tests.conftest import TinyRegistry
from tests.helpers.fake_runs import FakeRuns


class Watched:
    """A registered model of this test's own, a data set, a watch file about them, and runs that never really run."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder, self.client = name, folder, mlflow.MlflowClient()
        self.client.create_registered_model(name)
        self.dataset = folder / "rows.jsonl"
        self.dataset.write_text('{"text": "good"}\n')
        self.runs = FakeRuns()
        self.settings: dict[str, Any] = {
            "models": [{"name": name, "dataset": str(self.dataset)}],
            "tags": ["dataset", "reference"],
            "data_roots": [str(folder)],
            "backoff_s": 0,
        }

    @property
    def watch(self) -> WatchConfig:
        return WatchConfig.model_validate(self.settings)

    def new_version(self, **tags: str) -> str:
        return str(self.client.create_model_version(self.name, f"file://{self.folder}", tags=tags).version)

    def tags(self, version: str = "1") -> dict[str, str]:
        return dict(self.client.get_model_version(self.name, version).tags)

    def tag(self, key: str, value: str, version: str = "1") -> None:
        self.client.set_model_version_tag(self.name, version, key, value)

    def steps(self, **options: Any) -> list[Step]:
        return list(run_pass(self.watch, self.runs, **options).steps)

    def step(self) -> Step:
        (step,) = self.steps()
        return step

    def publishes(self, verdict: str = "pass", version: str = "1") -> None:
        """What the flow leaves: it completes, publishes, and notes that it is done."""
        self.runs.becomes(RunState.COMPLETED)
        self.tag(Tag.VERDICT, verdict, version)
        registry.note_done(self.name, version, self.tags(version)[Tag.REQUEST])


@pytest.fixture
def watched(tiny_registry: TinyRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(f"watched-{tmp_path.name}", tmp_path)


def test_a_new_version_is_started_once_followed_and_then_left_alone(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.new_version()
    assert watched.step().action is Action.STARTED
    assert watched.tags()[Tag.STATE] == "queued"
    (parameters,) = watched.runs.started.values()
    assert parameters["model"] == f"models:/{watched.name}/1"
    assert parameters["dataset"] == str(watched.dataset)
    assert parameters["request"] == watched.tags()[Tag.REQUEST]
    assert list(watched.runs.started) == [f"{watched.name}/1/{parameters['request']}/1"]

    assert watched.step().action is Action.UNDER_WAY
    registry.note_running(watched.name, "1", parameters["request"])
    watched.runs.becomes(RunState.RUNNING)
    assert watched.step().action is Action.UNDER_WAY
    assert watched.tags()[Tag.STATE] == "running"

    watched.publishes("fail")

    def written(*_: object) -> None:
        raise AssertionError("a settled version is not touched: each note would fire a webhook")

    for method in ("set_model_version_tag", "delete_model_version_tag", "update_model_version"):
        monkeypatch.setattr(mlflow.MlflowClient, method, written)
    asked = watched.runs.asked
    step = watched.step()
    assert (step.action, step.verdict) == (Action.DONE, "fail")
    assert watched.tags()[Tag.STATE] == "done"
    assert watched.runs.asked == asked
    assert len(watched.runs.started) == 1


def test_many_versions_from_two_reconcilers_and_webhooks_at_once_are_each_started_once(watched: Watched) -> None:
    versions = [watched.new_version() for _ in range(6)]
    with ThreadPoolExecutor(max_workers=4) as pool:
        passes = [pool.submit(run_pass, watched.watch, watched.runs) for _ in range(2)]
        looks = [pool.submit(look_at, watched.name, version, watched.watch, watched.runs) for version in versions]
        assert [step.detail for one in passes for step in one.result().steps if step.action is Action.ERROR] == []
        assert all(look.result().action in {Action.STARTED, Action.UNDER_WAY} for look in looks)
    assert len(watched.runs.started) == 6
    assert {key.split("/")[1] for key in watched.runs.started} == set(versions)
    assert {watched.tags(version)[Tag.ATTEMPTS] for version in versions} == {"1"}


@pytest.mark.parametrize("message", ["Crashed: exited with status -9", "Failed: CouldNotRunError: no disk", "Cancelled: by ops"])
def test_what_died_is_resumed_and_in_the_end_given_up_with_a_verdict(watched: Watched, message: str) -> None:
    watched.settings["max_attempts"] = 2
    watched.new_version()
    watched.step()
    watched.runs.becomes(RunState.DIED, message)
    step = watched.step()
    assert (step.action, step.attempt) == (Action.RESUMED, 2)
    first, second = watched.runs.started
    assert (first.removesuffix("/1"), second.rpartition("/")[2]) == (second.removesuffix("/2"), "2")
    watched.runs.becomes(RunState.DIED, message)
    assert watched.step().action is Action.GAVE_UP
    tags = watched.tags()
    assert (tags[Tag.STATE], tags[Tag.VERDICT], tags[Tag.ATTEMPTS]) == ("gave_up", "inconclusive", "2")
    assert tags[Tag.REASON] == message
    assert watched.step().action is Action.GAVE_UP
    assert len(watched.runs.started) == 2, "given up is given up"

    watched.tag(Tag.RETRY, "disk added")
    assert watched.step().action is Action.STARTED
    assert Tag.REASON not in watched.tags()
    watched.publishes()
    assert (watched.step().action, watched.tags()[Tag.VERDICT]) == (Action.DONE, "pass")


def test_what_the_user_has_to_mend_is_not_tried_again(watched: Watched) -> None:
    watched.new_version()
    watched.step()
    watched.runs.becomes(RunState.DIED, "Failed: Flow run encountered an exception: InputError: weights are not safetensors")
    assert watched.step().action is Action.GAVE_UP
    assert "not safetensors" in watched.tags()[Tag.REASON]
    assert watched.tags()[Tag.VERDICT] == "inconclusive"
    with pytest.raises(InputError, match=r"given up: its verdict is inconclusive(.|\n)*not safetensors"):
        explanation_of(registry.parse_model_ref(f"models:/{watched.name}/1"), TrustList())
    (entry,) = registry.timeline(watched.name, verifier(TrustList()))
    assert entry.problem is not None
    assert "not safetensors" in entry.problem


def test_a_hanging_run_is_stopped_and_a_silent_one_buried_before_the_next_begins(watched: Watched) -> None:
    watched.new_version()
    watched.step()
    watched.runs.becomes(RunState.RUNNING, idle_s=30_000)
    assert watched.steps(dry_run=True)[0].detail.startswith("asked to stop")
    assert watched.runs.stopped == [], "only said"
    assert watched.step().action is Action.UNDER_WAY
    assert watched.step().detail == "stopping"
    assert len(watched.runs.stopped) == 1, "asked once"
    watched.runs.becomes(RunState.RUNNING, ago_s=700)
    assert watched.steps(dry_run=True)[0].action is Action.RESUMED
    assert watched.runs.buried == []
    assert watched.step().action is Action.RESUMED
    (reason,) = watched.runs.buried
    assert reason.startswith("no sign of life")
    assert len(watched.runs.started) == 2


def test_a_handing_over_that_failed_is_made_up_for(watched: Watched) -> None:
    watched.new_version()
    watched.new_version()
    watched.runs.down = True
    steps = watched.steps()
    assert [step.action for step in steps] == [Action.ERROR, Action.ERROR]
    assert "connection refused" in steps[0].detail
    watched.runs.down = False
    assert [step.action for step in watched.steps()] == [Action.STARTED, Action.STARTED]
    assert {key.rpartition("/")[2] for key in watched.runs.started} == {"1"}


def test_a_run_whose_last_note_was_lost_is_settled_and_one_without_verdict_is_not(watched: Watched) -> None:
    watched.new_version()
    watched.step()
    watched.runs.becomes(RunState.COMPLETED)
    assert watched.step().action is Action.RESUMED, "no verdict: it does not count as explained"
    watched.runs.becomes(RunState.COMPLETED)
    watched.tag(Tag.VERDICT, "pass")
    assert watched.step().action is Action.DONE
    assert watched.tags()[Tag.SETTLED] == watched.tags()[Tag.REQUEST]


class EndingRuns(FakeRuns):
    """A run that is still seen as running while it publishes and ends."""

    def __init__(self, watched: Watched) -> None:
        super().__init__(**vars(watched.runs))
        self.watched = watched

    def find(self, key: str) -> Run | None:
        seen = super().find(key)
        self.watched.publishes()
        return seen


def test_a_run_that_ends_while_it_is_looked_at_stays_done(watched: Watched) -> None:
    watched.new_version()
    watched.step()
    watched.runs.becomes(RunState.RUNNING)
    watched.runs = EndingRuns(watched)
    assert watched.step().action is Action.UNDER_WAY
    tags = watched.tags()
    assert tags[Tag.SETTLED] == tags[Tag.REQUEST]
    assert tags[Tag.STATE] == "done", "an older look does not cover the end"


def test_other_data_settings_or_reference_are_another_request_and_other_addresses_are_not(watched: Watched) -> None:
    config = watched.folder / "settings.yaml"
    config.write_text("quality: {seed: 1}\n")
    watched.settings["models"][0] |= {"config": str(config)}
    watched.new_version()
    watched.step()
    watched.publishes()
    config.write_text("quality: {seed: 1}\nalerts: {blocks: [slack-webhook/ops]}\n")
    moved = watched.folder / "moved.jsonl"
    moved.write_bytes(watched.dataset.read_bytes())
    watched.settings["models"][0] |= {"dataset": str(moved), "output": str(watched.folder)}
    assert watched.step().action is Action.DONE

    changes = [
        lambda: config.write_text("quality: {seed: 2}\n"),
        lambda: moved.write_text('{"text": "bad"}\n'),
        lambda: watched.settings["models"][0].update(reference="models:/other@champion"),
        lambda: watched.settings["models"][0].update(limit=7),
    ]
    for change in changes:
        change()
        assert watched.step().action is Action.STARTED
        assert watched.tags()[Tag.VERDICT] == "pass", "the earlier evidence stands until there is new"
        watched.publishes()
    assert len(watched.runs.started) == 5
    assert list(watched.runs.started.values())[-1]["config"] == {"quality": {"seed": 2}}


def test_the_end_of_a_run_for_an_earlier_request_settles_nothing(watched: Watched) -> None:
    watched.new_version()
    watched.step()
    earlier = watched.tags()[Tag.REQUEST]
    watched.dataset.write_text('{"text": "other"}\n')
    assert watched.step().action is Action.STARTED
    watched.tag(Tag.VERDICT, "pass")
    registry.note_done(watched.name, "1", earlier)
    assert Tag.SETTLED not in watched.tags()
    assert watched.step().action is Action.UNDER_WAY


def test_tags_come_before_the_file_and_the_version_before_the_model(watched: Watched) -> None:
    for name in ("of-model.jsonl", "of-version.jsonl"):
        (watched.folder / name).write_text(json.dumps({"text": name}) + "\n")
    watched.client.set_registered_model_tag(watched.name, Tag.DATASET, "of-model.jsonl")
    watched.client.set_registered_model_tag(watched.name, Tag.REFERENCE, "models:/other/3")
    watched.new_version()
    watched.new_version(**{"calig.dataset": str(watched.folder / "of-version.jsonl")})
    watched.steps()
    first, second = sorted(watched.runs.started.values(), key=lambda parameters: parameters["model"])
    assert first["dataset"] == str((watched.folder / "of-model.jsonl").resolve())
    assert second["dataset"] == str((watched.folder / "of-version.jsonl").resolve())
    assert first["reference"] == second["reference"] == "models:/other/3"


def test_a_tag_outside_the_allowed_folders_is_refused_until_it_is_mended(watched: Watched) -> None:
    watched.new_version(**{"calig.dataset": "/etc/passwd"})
    step = watched.step()
    assert step.action is Action.GAVE_UP
    assert "outside the allowed folders" in watched.tags()[Tag.REASON]
    assert watched.tags()[Tag.VERDICT] == "inconclusive"
    assert watched.runs.started == {}
    watched.tag(Tag.DATASET, "rows.jsonl")
    assert watched.step().action is Action.STARTED


def test_a_tag_that_is_not_admitted_is_ignored_and_said_to_be(watched: Watched) -> None:
    watched.settings["tags"] = []
    watched.new_version(**{"calig.reference": f"models:/{watched.name}/1", "calig.config": "lenient.yaml", "calig.dataset": "."})
    step = watched.step()
    assert step.action is Action.STARTED
    assert step.detail == "ignored, since the watch file does not admit it: calig.dataset, calig.config, calig.reference"
    (parameters,) = watched.runs.started.values()
    assert (parameters["reference"], parameters["config"]) == (None, {})
    assert parameters["dataset"] == str(watched.dataset)
    assert parameters["chosen_by"] == {"dataset": "watch file", "config": "default", "reference": "default"}
    watched.publishes()
    watched.tag("calig.reference", "models:/other/9")
    assert watched.step().action is Action.DONE, "what does not count asks for nothing new"


def test_settings_by_an_admitted_tag_keep_the_operators_trust(watched: Watched) -> None:
    settings = watched.folder / "settings"
    settings.mkdir()
    (watched.folder / "data").mkdir()
    (watched.folder / "own.yaml").write_text("gate: {require_approval: true}\nquality: {suite: strict}\n")
    (settings / "other.yaml").write_text("quality: {seed: 5}\n")
    (settings / "greedy.yaml").write_text("gate: {accept_waivers: true}\n")
    watched.settings["models"][0]["config"] = str(watched.folder / "own.yaml")
    roots = {"data_roots": [str(watched.folder / "data")], "settings_roots": [str(settings)]}
    watched.settings |= {"tags": ["config"], **roots}
    watched.new_version(**{"calig.config": "other.yaml"})
    assert watched.step().action is Action.STARTED
    (parameters,) = watched.runs.started.values()
    assert parameters["config"] == {"quality": {"seed": 5}, "gate": {"require_approval": True}}
    assert parameters["chosen_by"]["config"] == "tag calig.config"
    watched.tag(Tag.CONFIG, "greedy.yaml")
    step = watched.step()
    assert step.action is Action.GAVE_UP
    assert "only the operator may set got: gate" in step.detail


def test_twins_are_nominated_in_the_watch_file(watched: Watched) -> None:
    (watched.folder / "own.yaml").write_text("drift: {twins: {1: [2], 5: [6]}}\n")
    watched.settings["models"][0] |= {"twins": {1: [3, 4]}, "config": str(watched.folder / "own.yaml")}
    watched.new_version()
    watched.step()
    (parameters,) = watched.runs.started.values()
    assert parameters["config"]["drift"] == {"twins": {"1": [3, 4], "5": [6]}}
    assert config_from(parameters["config"]).drift.twins == {1: (3, 4), 5: (6,)}
    watched.settings["tags"] = ["twin_of"]
    assert watched.step().action is Action.STARTED
    assert list(watched.runs.started.values())[-1]["config"]["drift"]["twin_tags"] is True


def test_without_a_data_set_or_with_a_broken_one_a_version_ends_inconclusive_and_mending_is_noticed(watched: Watched) -> None:
    watched.settings["models"][0]["dataset"] = None
    watched.new_version()
    assert "no data set is named" in watched.step().detail
    watched.settings["models"][0]["dataset"] = str(watched.folder / "later.jsonl")
    assert "cannot be read" in watched.step().detail
    (watched.folder / "later.jsonl").write_text('{"text": "x"}\n')
    assert watched.step().action is Action.STARTED


def test_only_watched_models_and_the_newest_versions(watched: Watched, tiny_registry: TinyRegistry) -> None:
    for _ in range(3):
        watched.new_version()
    watched.settings["newest"] = 2
    assert [step.version for step in watched.steps()] == ["2", "3"]
    assert look_at(tiny_registry.text, "1", watched.watch, watched.runs).action is Action.NOT_WATCHED
    assert look_at(watched.name, "99", watched.watch, watched.runs).action is Action.NOT_WATCHED


def test_a_dry_run_changes_nothing(watched: Watched) -> None:
    watched.new_version()
    watched.new_version(**{"calig.dataset": "/etc/passwd"})
    assert [step.action for step in watched.steps(dry_run=True)] == [Action.STARTED, Action.GAVE_UP]
    assert watched.tags() == {}
    assert set(watched.tags("2")) == {"calig.dataset"}
    assert watched.runs.started == {}


@pytest.fixture
def command(watched: Watched, monkeypatch: pytest.MonkeyPatch):
    """`calig reconcile` in this process, with the runs injected."""
    monkeypatch.setattr("flows.common.process.prepare", lambda **_: None)
    monkeypatch.setattr("flows.trigger.prefect_runs.PrefectRuns", lambda _deployment: watched.runs)
    monkeypatch.setenv("COLUMNS", "200")
    path = watched.folder / "watch.yaml"

    def run(*arguments: str):
        path.write_text(json.dumps(watched.settings))
        return CliRunner().invoke(app, ["reconcile", "--watch", str(path), *arguments])

    return run


def test_the_command_says_what_was_done_and_its_exit_code_whether_all_is_well(watched: Watched, command) -> None:
    watched.settings["models"].append({"name": "nothing-here"})
    watched.new_version()
    answer = command()
    assert answer.exit_code == 0, answer.output
    assert f"{watched.name}/1" in answer.output
    assert "1 versions: 1 started" in answer.output
    assert "nothing-here is watched and has no version" in answer.output
    watched.runs.becomes(RunState.DIED, "Failed: InputError: no such column")
    answer = command("--json")
    assert answer.exit_code == 3
    (step,) = json.loads(answer.stdout)["steps"]
    assert (step["action"], step["verdict"]) == ("gave up", "inconclusive")
    watched.tag(Tag.RETRY, "1")
    watched.runs.down = True
    assert command().exit_code == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": []}, "at least 1 item"),
        ({"max_atempts": 3}, "allowed: max_attempts"),
        ({"models": [{"name": "a", "datset": "x"}]}, "'models.0.datset': there is no such setting"),
        ({"deployment": "x"}, "'deployment'"),
        ({"allowed_roots": ["/data"]}, "allowed: data_roots, settings_roots"),
        ({"tags": ["verdict"]}, "'tags"),
        ({"settings_roots": ["/"]}, "overlap"),
    ],
)
def test_a_wrong_watch_file_is_bad_input(watched: Watched, command, settings: dict[str, Any], message: str) -> None:
    watched.settings |= settings
    answer = command()
    assert answer.exit_code == 2
    assert message in answer.output
    assert "Traceback" not in answer.output


def test_the_example_names_every_setting() -> None:
    import yaml

    from components.common.configuration import load_watch

    path = Path(__file__).parents[2] / "deploy" / "watch.yaml"
    written = yaml.safe_load(path.read_text())
    load_watch(path)
    assert set(written) == set(WatchConfig.model_fields)
    assert set(written["listener"]) == set(WatchConfig.model_fields["listener"].annotation.model_fields)
    assert set(written["defaults"]) == set(WatchConfig.model_fields["defaults"].annotation.model_fields)
    defaults = WatchConfig(models=load_watch(path).models)
    shown = ("data_roots", "settings_roots")
    assert defaults.model_copy(update={name: getattr(load_watch(path), name) for name in shown}) == load_watch(path)

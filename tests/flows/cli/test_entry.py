"""The outermost seam: 1 is a verdict and nothing else, whatever ends a command; output never decides the exit code."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from flows.cli import entry

ROOT = Path(__file__).parents[3]
CANARY = "canary-pass-5521"


class Panic(BaseException):
    """As errors of native extensions are: no Exception."""


def calig(*arguments: str, cwd: Path | None = None, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows.cli", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    return subprocess.run(
        command, cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True, timeout=60, check=False, **options
    )


@pytest.mark.parametrize("where", ["command", "before"])
@pytest.mark.parametrize("error", [Panic(CANARY), RecursionError("deep"), MemoryError(), ImportError("torn"), SystemExit(1)])
def test_nothing_but_a_verdict_ends_with_one(where, error, monkeypatch, capsys):
    def fails(*_args, **_options):
        raise error

    monkeypatch.setenv("SMTP_PASS", CANARY)
    monkeypatch.setattr(
        "components.common.configuration.load_config" if where == "command" else "flows.cli.command.exit_with", fails
    )
    with pytest.raises(SystemExit) as ended:
        entry.main(["config", "show"])
    said = capsys.readouterr().err
    assert ended.value.code == 4
    assert type(error).__name__ in said
    assert "Traceback" not in said
    assert CANARY not in said


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--help"], 0), ([], 2), (["explain"], 2), (["no-such"], 2), (["gate", "--x"], 2)]
)
def test_usage(arguments, code):
    with pytest.raises(SystemExit) as ended:
        entry.main(arguments)
    assert ended.value.code == code


def test_a_deleted_working_directory_is_said(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    code = f"import os, shutil; shutil.rmtree({str(folder)!r}); from flows.cli.entry import main; main(['gate', 'models:/m/1'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "working directory does not exist" in done.stderr


@pytest.mark.parametrize("model", ["x" * 300, "a\0b", "/" + "y" * 5000])
def test_paths_that_no_file_system_takes_are_bad_input(model, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        entry.main(["estimate", model, "--dataset", "d.jsonl"])
    assert ended.value.code == 2


def test_characters_that_the_terminal_lacks_are_escaped():
    done = calig("config", "show", stdout=subprocess.PIPE, env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert done.returncode == 0, done.stderr


def test_a_reader_that_went_away_changes_no_exit_code():
    reader, writer = os.pipe()
    os.close(reader)
    done = calig("config", "show", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_under_the_output_changes_no_exit_code():
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        assert calig("config", "show", stdout=full).returncode == 0


_STUCK = """
import sys, threading, time
from flows.cli.exit_codes import ended
from flows.common.process import stoppable

def run():
    with stoppable():
        threading.Thread(target=time.sleep, args=(100,)).start()
        print("ready", flush=True)
        {waiting}

sys.exit(ended(run, debug=False))
"""


@pytest.mark.parametrize(("signal_name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize(
    "waiting", ["time.sleep(100)", "[__import__('contextlib').suppress(BaseException).__enter__(), time.sleep(100)]"]
)
def test_a_signal_ends_the_process_within_seconds_also_when_a_thread_goes_on(signal_name, code, waiting):
    import signal

    script = _STUCK.format(waiting=waiting)
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, signal_name))
    _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert said.count("finished shards are kept") == 1
    assert "Traceback" not in said


def test_the_main_thread_keeps_its_handlers_when_nothing_was_stopped():
    import signal

    from flows.common.process import stoppable

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stoppable():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert threading.current_thread() is threading.main_thread()

"""The peak of a process is its own, whoever started it."""

import subprocess
import sys

from components.common import memory

_HELD = 400 * 2**20
_PEAK = "from components.common.memory import peak_resident_bytes; print(peak_resident_bytes())"


def output_of(program):
    return int(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)


def test_what_the_starting_process_held_does_not_count():
    held = f"import subprocess, sys; held = bytearray(b'1' * {_HELD})"
    started = f"{held}; subprocess.run([sys.executable, '-c', {_PEAK!r}], check=True)"
    assert 0 < output_of(started) < _HELD


def test_what_was_freed_counts():
    freed = f"held = bytearray(b'1' * {_HELD}); del held; {_PEAK}"
    assert output_of(freed) > _HELD


def test_without_proc_the_system_is_asked(tmp_path, monkeypatch):
    least = 0.9 * memory.peak_resident_bytes()  # the two are counted at different moments
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    assert memory.peak_resident_bytes() > least
    assert memory.own_resident_bytes() > least

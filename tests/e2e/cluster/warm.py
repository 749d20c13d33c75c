"""Flow runs whose process is forked from one that has imported the libraries already: the same run, fifteen seconds sooner.

`python -P warm.py serve SOCKET` imports and waits; `… run SOCKET`, a worker's command, hands its environment and its output over,
waits, and ends as the forked process ended. `SOCKET.RUN_ID` holds that process's id while it lives.
"""

from __future__ import annotations

import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

_LARGEST_REQUEST = 1 << 20
_HEAVY = (
    "flows.explain_release",
    "prefect.flow_engine",
    "mlflow.transformers",
    "great_expectations",
    "onnxruntime",
    "onnxscript",
)
_HEAVY_PARTS = ("components.attribution", "components.scoring", "components.quality", "components.registry")


def serve(path: Path) -> NoReturn:
    """Import what a flow run needs, then fork one process per request, for ever."""
    _import_all()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:  # a go-between per request, which waits for the run; it has no threads either
                listening.close()
                _serve_one(connection, path)
            connection.close()
            _reap()


def run(path: Path) -> NoReturn:
    """Hand this process's environment, folder and output to the server; end as the forked process ends."""
    request = json.dumps({"environment": dict(os.environ), "cwd": os.getcwd()}).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(path))
        socket.send_fds(connection, [len(request).to_bytes(4, "big")], [1, 2])
        connection.sendall(request)
        answer = connection.recv(16)
    code = int(answer or b"1")
    if code < 0:
        os.kill(os.getpid(), -code)
    sys.exit(code)


def _import_all() -> None:
    import importlib
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in (*_HEAVY, *_HEAVY_PARTS):
            importlib.import_module(name)
    others = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    print(f"warm; threads: {others or 'none'}", flush=True)


def _serve_one(connection: socket.socket, path: Path) -> NoReturn:
    length, descriptors, _, _ = socket.recv_fds(connection, 4, 2)
    request = json.loads(_receive(connection, int.from_bytes(length, "big")))
    child = os.fork()
    if child == 0:
        connection.close()
        _become_flow_run(request["environment"], request["cwd"], descriptors)
    mark = path.with_name(f"{path.name}.{request['environment'].get('PREFECT__FLOW_RUN_ID')}")
    mark.write_text(str(child), encoding="utf-8")
    status = _end_of(child, connection)
    mark.unlink(missing_ok=True)
    with suppress(OSError):
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _end_of(child: int, connection: socket.socket) -> int:
    """The child's wait status. When the worker ends the process that asked for it, the child is ended too."""
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if select.select([connection], [], [], 0.2)[0]:  # nothing is sent on it: it was closed
            os.kill(child, signal.SIGKILL)
            return os.waitpid(child, 0)[1]


def _become_flow_run(environment: dict[str, str], cwd: str, descriptors: list[int]) -> NoReturn:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    for number, descriptor in zip((1, 2), descriptors, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.argv = ["prefect.engine"]
    code = 0
    try:
        runpy.run_module("prefect.engine", run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _receive(connection: socket.socket, length: int) -> bytes:
    if length > _LARGEST_REQUEST:
        raise ValueError(f"a request of {length} bytes")
    parts = b""
    while len(parts) < length:
        part = connection.recv(length - len(parts))
        if not part:
            raise ConnectionError("the request broke off")
        parts += part
    return parts


def _reap() -> None:
    """Collect go-betweens that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    {"serve": serve, "run": run}[sys.argv[1]](Path(sys.argv[2]))

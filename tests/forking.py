"""Commands as processes of their own that need not import everything anew.

To start an interpreter and import all that a command rests on takes a second, and the suite runs many hundred commands. So
one process per test session imports it once and forks for every command: the child has its own arguments, environment,
folder, streams, exit code and process id, runs ``python -m MODULE`` to the interpreter's own end, and is killed like any
other. What must be seen from a fresh interpreter is started by ``subprocess`` with ``fakes.command``.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
REQUEST_BYTES_MAX = 100_000
_LOCK = threading.Lock()


def environment(**more: str) -> dict[str, str]:
    """What a command needs, and nothing of the developer's own settings."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200", "USER": "tester"} | more


@dataclass(frozen=True)
class Order:
    """One process. args: of the module. cwd: where it runs; as with ``python -m``, modules are looked for there first."""

    module: str
    args: tuple[str, ...]
    env: dict[str, str]
    cwd: str


class Process:
    """A process that was started, with what of ``subprocess.Popen`` the tests use; any number of threads may ask it."""

    def __init__(self, pid: int, told: socket.socket) -> None:
        self.pid, self._told = pid, told.detach()
        self.returncode: int | None = None
        self._one_reads = threading.Lock()
        weakref.finalize(self, os.close, self._told)

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, negative for a signal. Raises ``subprocess.TimeoutExpired``."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return code

    def kill(self) -> None:
        """``kill -9``, unless it is known to have ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it ended this very moment
                os.kill(self.pid, signal.SIGKILL)

    def _ended(self, timeout_s: float | None) -> int | None:
        """It is told once, so whoever comes second finds it written down."""
        if self.returncode is None and select.select([self._told], [], [], timeout_s)[0]:
            with self._one_reads:
                if self.returncode is None:
                    self.returncode = int(os.read(self._told, 32))
        return self.returncode


class Forker:
    """The process that forks; one per test session, ended with it."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forking", str(theirs.fileno())],
                env=environment(),
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def start(self, order: Order, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes]) -> Process:
        """Start a process on these streams."""
        told, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        message = json.dumps([order.module, order.args, order.env, order.cwd]).encode()
        assert len(message) <= REQUEST_BYTES_MAX
        with theirs:
            socket.send_fds(self._control, [message], [stdin.fileno(), stdout.fileno(), stderr.fileno(), theirs.fileno()])
        said = told.recv(32)
        assert said, "the process that forks has ended; see what it said on stderr"
        return Process(int(said), told)

    def close(self) -> None:
        """End it; what it forked goes on."""
        self._control.close()
        self._process.wait()


_FORKERS: list[Forker] = []


def _forker() -> Forker:
    """The one of this session, started on first use."""
    with _LOCK:
        if not _FORKERS:
            _FORKERS.append(Forker())
            atexit.register(_FORKERS[0].close)
    return _FORKERS[0]


def start(order: Order, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes]) -> Process:
    """Start a process on these streams."""
    return _forker().start(order, stdin, stdout, stderr)


def run(order: Order, stdin: bytes, timeout_s: float) -> subprocess.CompletedProcess[bytes]:
    """Run a process to its end, as ``subprocess.run`` with its output captured."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        process = start(order, given, out, err)
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess([order.module, *order.args], code, out.read(), err.read())


def _import_everything() -> None:
    import countersign  # noqa: PLC0415 - only the forking process wants it all

    for found in pkgutil.walk_packages(countersign.__path__, "countersign."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    gc.collect()
    gc.freeze()  # pages that the collector does not touch stay shared with the children


def _child_of(control: socket.socket) -> Order:
    """Fork for every order; returns in a child only, which has become what was ordered but for running it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers
    while True:
        message, fds, _, _ = socket.recv_fds(control, REQUEST_BYTES_MAX, 4)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            control.close()
            return _kept(Order(*json.loads(message)), fds)
        for fd in fds:
            os.close(fd)


def _kept(order: Order, fds: list[int]) -> Order:
    """Fork once more: the keeper tells the process's id and its exit code, the child returns."""
    *streams, told = fds
    pid = os.fork()
    if pid == 0:
        os.close(told)
        for number, fd in enumerate(streams):
            os.dup2(fd, number)
            os.close(fd)
        return order
    for fd in streams:
        os.close(fd)
    os.write(told, str(pid).encode())
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # it keeps its id until it is told: nobody kills another
    assert ended is not None
    code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
    os.write(told, str(code).encode())
    os.waitpid(pid, 0)
    os._exit(0)


def _main() -> None:
    _import_everything()
    order = _child_of(socket.socket(fileno=int(sys.argv[1])))
    os.environ.clear()
    os.environ.update(order.env)
    os.chdir(order.cwd)
    sys.path[0] = order.cwd
    sys.argv = [order.module, *order.args]
    runpy.run_module(order.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()

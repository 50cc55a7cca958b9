"""Run one program with a time limit and a limit on what it may say. Arguments are a list; no shell is in between."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO

KEPT_BYTES_MAX = 1024 * 1024
"""Of each of stdout and stderr. What a target says beyond it is read and dropped, so that it cannot fill our memory."""
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended, and what it said."""

    status: int
    out: bytes
    err: bytes


def talk(argv: Sequence[str], stdin: bytes, timeout_s: float) -> Ran:
    """Raises TimeoutError when it has not ended in time (it is killed then) and FileNotFoundError when there is no such
    program."""
    until = time.monotonic() + timeout_s
    with TemporaryFile() as given:  # a file, not a pipe: a target that does not read cannot hold us up
        given.write(stdin)
        given.seek(0)
        process = subprocess.Popen(  # noqa: S603 - a list of words, each checked by its caller
            argv,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
    try:
        out, err = _listen((_stream(process.stdout), _stream(process.stderr)), until)
        return Ran(process.wait(max(until - time.monotonic(), 0.01)), out, err)
    except (TimeoutError, subprocess.TimeoutExpired):
        _kill(process)
        raise TimeoutError from None
    finally:
        for stream in (process.stdout, process.stderr):
            _stream(stream).close()


def _listen(streams: tuple[IO[bytes], IO[bytes]], until: float) -> tuple[bytes, bytes]:
    """Both to their ends."""
    kept = {stream.fileno(): bytearray() for stream in streams}
    with selectors.DefaultSelector() as ready:
        for stream in streams:
            ready.register(stream, selectors.EVENT_READ)
        while ready.get_map():
            left = until - time.monotonic()
            if left <= 0 or not (events := ready.select(left)):
                raise TimeoutError
            for key, _ in events:
                chunk = os.read(key.fd, 65_536)
                if not chunk:
                    ready.unregister(key.fileobj)
                kept[key.fd] += chunk[: KEPT_BYTES_MAX - len(kept[key.fd])]
    out, err = (bytes(kept[stream.fileno()]) for stream in streams)
    return out, err


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:  # cannot be: both were asked for
        raise TimeoutError
    return stream


def _kill(process: subprocess.Popen[bytes]) -> None:
    """With its children. What runs as root by sudo cannot be killed by us and ends when its pipe is closed."""
    with suppress(PermissionError, ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(1.0)

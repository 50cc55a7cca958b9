"""Ports of loopback that nobody else comes by: one to be listened at later, and one at which nobody listens."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

HERE = "127.0.0.1"
FIRST, MANY = 20_000, 12_000
"""Below those that a system gives to whoever asks for any port (Linux: from 32768 on): a port from there, let go of until
somebody listens at it, is soon somebody else's."""
_NUMBERS = count(os.getpid() * 397)


def free_port() -> int:
    """A port at which nobody listens. Another one each time, and from other ones on in every process."""
    for _ in range(MANY):
        port = FIRST + next(_NUMBERS) % MANY
        with socket.socket() as found:
            try:
                found.bind((HERE, port))
            except OSError:
                continue
            return port
    raise AssertionError(f"every one of {MANY} ports is taken")


@contextmanager
def deaf_port() -> Iterator[int]:
    """A port that is held, so that nobody else gets it, and at which nobody listens: connections are refused."""
    with socket.socket() as held:
        held.bind((HERE, 0))
        yield int(held.getsockname()[1])

"""Knock at a TCP port of some addresses, several times each, in parallel. It runs in this process, and as a script of its
own wherever a vantage is: it takes Python 3.7 and nothing else.

Each try is a connection of its own, begun a moment after the one before, so that neither a lost packet nor a short burst of
losses passes for a host that is cut off.
"""

from __future__ import annotations

import errno
import json
import socket
import sys
import threading
from collections.abc import Sequence

TRIES = 3
GAP_S = 0.1
WAIT_S = 0.4
"""Tries for each address, the time from one to the next, and how long each may take."""
FROM_HOST = (0, errno.ECONNREFUSED, errno.ECONNRESET)
"""What only comes of a packet that came back."""
SILENT = (errno.EAGAIN, errno.ETIMEDOUT)


def knock(addresses: Sequence[str], port: int) -> dict[str, int]:
    """By address, what ``connect`` ended with: 0 or an errno. One answer of the host is enough; a fault on the way counts
    more than silence, which is left when nothing came back for any try."""
    codes: dict[str, list[int]] = {address: [] for address in addresses}
    answered = {address: threading.Event() for address in addresses}

    def attempt(address: str, number: int) -> None:
        if answered[address].wait(number * GAP_S):
            return
        code = connect(address, port)
        codes[address].append(code)
        if code in FROM_HOST:
            answered[address].set()

    tries = [threading.Thread(target=attempt, args=(one, n), daemon=True) for one in codes for n in range(TRIES)]
    for one in tries:
        one.start()
    for one in tries:
        one.join()
    return {address: min(found, key=_rank) for address, found in codes.items()}


def connect(address: str, port: int) -> int:
    """One try."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as one:
            one.settimeout(WAIT_S)
            return one.connect_ex((address, port))
    except OSError as error:  # no socket to be had: nothing is known of the host
        return error.errno or errno.EIO


def _rank(code: int) -> int:
    return FROM_HOST.index(code) if code in FROM_HOST else len(FROM_HOST) + (code in SILENT)


if __name__ == "__main__":
    print(json.dumps(knock(sys.argv[2:], int(sys.argv[1]))))

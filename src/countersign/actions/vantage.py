"""Whether a TCP connection comes about, asked from where the effect of an action would be felt."""

from __future__ import annotations

import errno
import socket
import sys
from dataclasses import dataclass
from enum import StrEnum

from countersign.actions.shells import Namespace, Shell
from countersign.errors import TargetFault

TRIES = 2
WAIT_S = 0.4
"""Of each try. Two connections, so that one lost packet does not pass for a host that is cut off."""
_SCRIPT = (
    "import socket,sys;a,p,w=sys.argv[1:];"
    "s=socket.socket(socket.AF_INET6 if ':' in a else socket.AF_INET);"
    "s.settimeout(float(w));print(s.connect_ex((a,int(p))))"
)


class Answer(StrEnum):
    """open: connected. refused: told no, so packets go both ways. silent: nothing came back. no_way: it could not be
    tried from there."""

    OPEN = "open"
    REFUSED = "refused"
    SILENT = "silent"
    NO_WAY = "no way"


_ANSWERS = {
    0: Answer.OPEN,
    errno.ECONNREFUSED: Answer.REFUSED,
    errno.ECONNRESET: Answer.REFUSED,
    errno.EAGAIN: Answer.SILENT,
    errno.ETIMEDOUT: Answer.SILENT,
}


@dataclass(frozen=True)
class Vantage:
    """Where from. shell: another place than this process, which then needs Python 3."""

    name: str
    shell: Shell | None = None

    def connect(self, address: str, port: int) -> Answer:
        """What becomes of a TCP connection. Raises TargetFault when the vantage itself cannot be asked."""
        found = Answer.NO_WAY
        for _ in range(TRIES):
            found = _ANSWERS.get(self._try(address, port), Answer.NO_WAY)
            if found is not Answer.SILENT:
                break
        return found

    def _try(self, address: str, port: int) -> int:
        if self.shell is None:
            return _connect(address, port)
        python = sys.executable if isinstance(self.shell, Namespace) else "python3"
        said = self.shell.must((python, "-I", "-S", "-c", _SCRIPT, address, str(port), str(WAIT_S)))
        try:
            return int(said)
        except ValueError:
            raise TargetFault(TargetFault.REFUSED, "the vantage gives no answer", where=self.name) from None


def _connect(address: str, port: int) -> int:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as one:
        one.settimeout(WAIT_S)
        return one.connect_ex((address, port))


def own_address(address: str) -> str:
    """This machine's address on the way to another; "" when none leads there. Sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        try:
            one.connect((address, 9))
        except OSError:
            return ""
        return str(one.getsockname()[0]).partition("%")[0]

"""Whether a TCP connection comes about, or a datagram is answered, asked from where an effect would be felt."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from countersign.actions import knocking
from countersign.actions.shells import Namespace, Shell
from countersign.errors import TargetFault

_KNOCK = Path(knocking.__file__).read_bytes()
_ASK = (
    "import select,socket,sys;a,p,w,q=sys.argv[1:];"
    "s=socket.socket(socket.AF_INET6 if ':' in a else socket.AF_INET,socket.SOCK_DGRAM);"
    "s.sendto(bytes.fromhex(q),(a,int(p)));"
    "print(s.recv(4096).hex() if select.select([s],[],[],float(w))[0] else '')"
)
ASK_S = 1.0
"""How long a resolver may take."""


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
    **dict.fromkeys(knocking.SILENT, Answer.SILENT),
}
_codes = msgspec.json.Decoder(dict[str, int]).decode


@dataclass(frozen=True)
class Vantage:
    """Where from. shell: another place than this process, which then needs Python 3."""

    name: str
    shell: Shell | None = None

    def connect(self, address: str, port: int) -> Answer:
        """What becomes of a TCP connection. Raises TargetFault when the vantage itself cannot be asked."""
        return self.connect_each((address,), port)[address]

    def connect_each(self, addresses: Sequence[str], port: int) -> dict[str, Answer]:
        """The same for some addresses at once."""
        found = knocking.knock(addresses, port) if self.shell is None else self._knocked(addresses, port)
        return {one: _ANSWERS.get(found[one], Answer.NO_WAY) for one in addresses}

    def ask(self, address: str, port: int, datagram: bytes) -> bytes:
        """What comes back for one datagram, b"" when nothing does. Raises TargetFault when the vantage cannot be asked."""
        if self.shell is None:
            return _ask(address, port, datagram)
        said = self._script(_ASK, address, str(port), str(ASK_S), datagram.hex())
        try:
            return bytes.fromhex(said.decode("ascii"))
        except ValueError:
            raise self._nonsense() from None

    def _knocked(self, addresses: Sequence[str], port: int) -> dict[str, int]:
        assert self.shell is not None  # noqa: S101 - its caller has seen to it
        said = self.shell.must((self._python, "-I", "-S", "-", str(port), *addresses), _KNOCK)
        try:
            found = _codes(said)
        except msgspec.MsgspecError:
            raise self._nonsense() from None
        if found.keys() != set(addresses):
            raise self._nonsense()
        return found

    @property
    def _python(self) -> str:
        return sys.executable if isinstance(self.shell, Namespace) else "python3"

    def _script(self, script: str, *words: str) -> bytes:
        assert self.shell is not None  # noqa: S101 - its caller has seen to it
        return self.shell.must((self._python, "-I", "-S", "-c", script, *words))

    def _nonsense(self) -> TargetFault:
        return TargetFault(TargetFault.REFUSED, "the vantage gives no answer", where=self.name, todo="look at it")


def _ask(address: str, port: int, datagram: bytes) -> bytes:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(ASK_S)
        try:
            one.sendto(datagram, (address, port))
            return one.recv(4096)
        except OSError:  # no answer in time, or no way there
            return b""


def own_address(address: str) -> str:
    """This machine's address on the way to another; "" when none leads there. Sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        try:
            one.connect((address, 9))
        except OSError:
            return ""
        return str(one.getsockname()[0]).partition("%")[0]

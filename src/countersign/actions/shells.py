"""Two ways to a target's command line behind one small interface: a network namespace of this machine, and OpenSSH.

Arguments are lists. Over ssh the far side joins them for its user's shell, so each is quoted. What a target says is never
passed on in a message: a host that is to be isolated may belong to somebody else by now.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from tempfile import NamedTemporaryFile
from typing import Any

from countersign.actions.talk import Ran, talk
from countersign.errors import TargetFault

_PLAIN = re.compile(r"[\x20-\x7e]+")
_LONGEST = 4096
NOT_FOUND_STATUS, SSH_FAULT_STATUS = 127, 255
_DENIED = (
    b"not permitted",
    b"Permission denied",
    b"password is required",
    b"not allowed",
    b"must be root",
    b"not in the sudoers",
)


class Shell(ABC):
    """One target's command line. where: the target in words."""

    where: str

    @abstractmethod
    def ask(self, argv: Sequence[str], stdin: bytes = b"") -> Ran:
        """Run one program there, whatever its status is. Raises TargetFault when it could not be run."""

    @abstractmethod
    def stands_for(self, addresses: Sequence[str]) -> None:
        """Raises TargetFault when this is the command line of another host than the one with these addresses."""

    def must(self, argv: Sequence[str], stdin: bytes = b"") -> bytes:
        """What it wrote to its standard output. Raises TargetFault unless its status is 0."""
        ran = self.ask(argv, stdin)
        if ran.status:
            raise self._fault(argv, ran)
        return ran.out

    def _fault(self, argv: Sequence[str], ran: Ran) -> TargetFault:
        program = argv[0].rpartition("/")[2]
        if any(said in ran.err for said in _DENIED):
            what, todo = f"{program} is not permitted to this user", "see docs/how-to/isolate-hosts.md for what it needs"
            return TargetFault(TargetFault.DENIED, what, where=self.where, todo=todo)
        if ran.status == NOT_FOUND_STATUS or b"command not found" in ran.err:
            return TargetFault(TargetFault.MISSING, f"{program} is not installed", where=self.where, todo="install it there")
        what, todo = f"{program} ended with status {ran.status}", f"run {program} there by hand to see why"
        return TargetFault(TargetFault.REFUSED, what, where=self.where, todo=todo)

    def _talk(self, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Ran:
        for word in argv:
            if len(word) > _LONGEST or not _PLAIN.fullmatch(word):
                raise TargetFault(TargetFault.REFUSED, "a word is not plain text", where=self.where, todo="nothing was sent")
        try:
            return talk(argv, stdin, timeout_s)
        except TimeoutError:
            todo = "look at the target: what was begun there may still be going on"
            raise TargetFault(TargetFault.TIMEOUT, f"no end in {timeout_s:g} s", where=self.where, todo=todo) from None
        except FileNotFoundError:
            what = f"{argv[0]} is not installed on this machine"
            raise TargetFault(TargetFault.MISSING, what, where=self.where, todo="install it") from None


@dataclass(frozen=True)
class Namespace(Shell):
    """A network namespace of this machine (``ip netns exec``). name: checked by the settings. sudo: not run as root."""

    name: str
    timeout_s: float
    sudo: bool = False

    @property
    def where(self) -> str:  # type: ignore[override]
        """The namespace."""
        return f"netns:{self.name}"

    @property
    def words(self) -> tuple[str, ...]:
        """In front of a command that is to run in it."""
        return (*(("sudo", "-n") if self.sudo else ()), "ip", "netns", "exec", self.name)

    def ask(self, argv: Sequence[str], stdin: bytes = b"") -> Ran:
        """Run one program in it."""
        ran = self._talk((*self.words, *argv), stdin, self.timeout_s)
        if ran.status and b"Cannot open network namespace" in ran.err and b"Permission denied" not in ran.err:
            todo = "check `via` and `vantage`; `ip netns list` shows what there is"
            raise TargetFault(TargetFault.UNREACHABLE, "there is no such namespace", where=self.where, todo=todo)
        if ran.status and b"exec of " in ran.err:
            raise TargetFault(TargetFault.MISSING, f"{argv[0]} is not installed", where=self.where, todo="install it")
        return ran

    def stands_for(self, addresses: Sequence[str]) -> None:
        """A namespace is named by a setting, so it is asked whether it has an address of the host."""
        links: list[dict[str, Any]] = json.loads(self.must(("ip", "-json", "address", "show")) or b"[]")
        own = {one.get("local") for link in links for one in link.get("addr_info", ())}
        if not own & set(addresses):
            what = f"has none of the host's addresses ({', '.join(addresses)})"
            raise TargetFault(TargetFault.REFUSED, what, where=self.where, todo="correct `via` or the inventory")


@dataclass(frozen=True)
class Ssh(Shell):
    """A host over OpenSSH. address: of the inventory. Host keys stand in ``known_hosts``; nothing is learnt on first use,
    and neither the user's ssh configuration nor an agent has a say. inside: words in front, to call from a namespace."""

    address: str
    user: str
    port: int
    identity: str
    known_hosts: str
    timeout_s: float
    sudo: bool = False
    inside: tuple[str, ...] = ()

    @property
    def where(self) -> str:  # type: ignore[override]
        """The address and its port."""
        return f"ssh {self.address} port {self.port}"

    def ask(self, argv: Sequence[str], stdin: bytes = b"") -> Ran:
        """Run one program there as the user, or by sudo as root."""
        words = ("sudo", "-n", *argv) if self.sudo else tuple(argv)
        ran, said = self.call(shlex.join(words), stdin)
        if ran.status == SSH_FAULT_STATUS:
            raise self.lost(said)
        return ran

    def stands_for(self, addresses: Sequence[str]) -> None:
        """Its host key does, at every connection."""

    def call(self, command: str, stdin: bytes = b"", *, level: str = "INFO") -> tuple[Ran, str]:
        """One connection. Returns what ssh itself said apart from what the target said. Raises TargetFault for no answer in
        time alone."""
        with NamedTemporaryFile("r", prefix="countersign-ssh-", errors="replace") as log:
            ran = self._talk((*self.inside, *self._words(log.name, level), command), stdin, self.timeout_s)
            return ran, log.read()

    def _words(self, log: str, level: str) -> tuple[str, ...]:
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": self.known_hosts,
            "GlobalKnownHostsFile": "/dev/null",
            "UpdateHostKeys": "no",
            "PreferredAuthentications": "publickey",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "ClearAllForwardings": "yes",
            "ControlPath": "none",
            "ConnectTimeout": str(max(1, math.floor(self.timeout_s / 2))),
            "ConnectionAttempts": "1",
            "LogLevel": level,
        }
        said = (part for name, value in options.items() for part in ("-o", f"{name}={value}"))
        before = ("ssh", "-F", "none", "-T", "-x", "-a", "-E", log)
        after = ("-i", self.identity, "-p", str(self.port), "-l", self.user, "--", self.address)
        return (*before, *said, *after)

    def lost(self, said: str) -> TargetFault:
        """Why there was no connection, from what ssh itself said."""
        for text, kind, what, todo in _SSH_FAULTS:
            if text in said:
                return TargetFault(kind, what, where=self.where, todo=todo)
        return TargetFault(TargetFault.UNREACHABLE, "the connection was lost", where=self.where, todo="look at the target")


_SSH_FAULTS = (
    ("Host key verification failed", TargetFault.CREDENTIALS, "its host key is not the known one", "check `known_hosts`"),
    ("Permission denied", TargetFault.CREDENTIALS, "does not take this user's key", "check `user` and `identity`"),
    ("Too many authentication", TargetFault.CREDENTIALS, "does not take this user's key", "check `user` and `identity`"),
    ("during banner exchange", TargetFault.TIMEOUT, "takes the connection and says nothing", "look at the target"),
    ("onnection timed out", TargetFault.UNREACHABLE, "does not answer", "check that it is up and its address is right"),
    ("onnection refused", TargetFault.UNREACHABLE, "no ssh server listens there", "check `port` and the address"),
    ("o route to host", TargetFault.UNREACHABLE, "no way leads there", "check that it is up and its address is right"),
    ("is unreachable", TargetFault.UNREACHABLE, "no way leads there", "check that it is up and its address is right"),
)
"""What OpenSSH's client says, first match; in words of our own."""

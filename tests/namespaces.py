"""Real targets on this machine: network namespaces on one bridge, an HTTP server, an sshd. They need root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import IO, Any

import msgspec
import pytest

from countersign.actions import ACTIONS
from countersign.actions.hand import BaseHand, Cover
from countersign.authority.agents import Operation
from countersign.authority.grant import Part, alone
from countersign.authority.grant import running as resource
from countersign.authority.terms import Use
from countersign.errors import TargetFault
from countersign.model.inventory import Asset, Identity
from countersign.model.responses import Order, Seen

NFT = "/usr/sbin/nft"
PATIENCE_S = 60.0
"""How long a hand may wait, where a test is not about its patience: a busy machine is slow."""
_FETCH = (
    "import http.client,sys,urllib.parse;u=urllib.parse.urlsplit(sys.argv[1]);"
    "c=http.client.HTTPConnection(u.hostname,u.port,timeout=2);c.connect();"  # by the kernels, however busy the machine is
    "c.sock.settimeout(60);c.request('GET',u.path);print(c.getresponse().status)"
)


def need_root_and(*tools: str) -> None:
    """Skip with the reason when this machine cannot play the targets."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces and sshd need root")
    for tool in tools:
        if shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            pytest.skip(f"{tool} is not installed")


def sh(*argv: str, stdin: str = "") -> str:
    """Run a fixed command; its output."""
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, check=True).stdout


@dataclass(frozen=True)
class Reaching:
    """A site without secrets."""

    timeout_s: float = PATIENCE_S

    def secret(self, reference: str) -> str:
        raise AssertionError(f"{reference} is none of these actions' business")


def hand_of(name: str, table: Mapping[str, Any], timeout_s: float = PATIENCE_S) -> BaseHand:
    """As the runner makes it from ``[actions.NAME]``."""
    action = ACTIONS[name]
    made = action.hand(msgspec.convert(table, action.settings), Reaching(timeout_s))
    assert isinstance(made, BaseHand)
    return made


def fault(one: Driven, step: str = "do") -> TargetFault:
    """What a step ends with."""
    with pytest.raises(TargetFault) as caught:
        getattr(one, step)()
    return caught.value


@dataclass(frozen=True)
class Driven:
    """A hand with the lease and the order that it works for."""

    hand: BaseHand
    order: Order

    @property
    def cover(self) -> Cover:
        """The responder's lease for this action."""
        name = resource(self.hand.action)
        use = Use("run-1", 1, self.order.case)
        found = alone(use, "responder", [Part("responder", Operation.RUN, (name,))])
        return Cover(found.of(Operation.RUN, name), use)

    def check(self) -> Seen:
        return self.hand.check(self.order, self.cover)

    def do(self) -> None:
        self.hand.do(self.order, self.cover)

    def probe(self) -> Seen:
        return self.hand.probe(self.order, self.cover)

    def undo(self) -> None:
        self.hand.undo(self.order, self.cover)


def order(action: str, *records: Asset | Identity, **parameters: str | int) -> Order:
    """An approved order as it would be run."""
    return Order("0" * 64, 1, action, "C-1", records, parameters)


_NUMBERS = count(os.getpid() * 7)


@dataclass
class Lan:
    """Namespaces on one bridge; this machine is in it too. number: one network for each that is alive."""

    number: int
    made: list[str] = field(default_factory=list)

    @property
    def here(self) -> str:
        """This machine's address in it."""
        return f"198.18.{self.number}.1"

    def address(self, end: int) -> str:
        """IPv4 address of a namespace."""
        return f"198.18.{self.number}.{end}"

    def name(self, short: str) -> str:
        """A namespace's name."""
        return f"cs{self.number}-{short}"

    def add(self, short: str, end: int) -> str:
        """A namespace with an address; its name."""
        name, port = self.name(short), f"cs{self.number}{short}"
        sh("ip", "netns", "add", name)
        self.made.append(name)
        sh("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
        sh("ip", "link", "set", port, "master", f"cs{self.number}", "up")
        sh("ip", "-n", name, "link", "set", "lo", "up")
        sh("ip", "-n", name, "address", "add", f"{self.address(end)}/24", "dev", "eth0")
        sh("ip", "-n", name, "-6", "address", "add", f"2001:db8:{self.number}::{end:x}/64", "dev", "eth0", "nodad")
        sh("ip", "-n", name, "link", "set", "eth0", "up")
        return name


@contextmanager
def lan() -> Iterator[Lan]:
    """Namespaces that are gone afterwards."""
    need_root_and("ip", "nft")
    for _ in range(20):  # one that nobody has: what was deleted goes in its own time
        made = Lan(next(_NUMBERS) % 250 + 1)
        bridge = f"cs{made.number}"
        done = subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], capture_output=True, text=True, check=False)
        if not done.returncode:
            break
    else:
        pytest.skip(f"no network can be made here: {done.stderr.strip()}")
    try:
        sh("ip", "address", "add", f"{made.here}/24", "dev", bridge)
        sh("ip", "link", "set", bridge, "up")
        yield made
    finally:
        for name in made.made:
            subprocess.run(["ip", "link", "del", name.replace("-", "")], check=False, capture_output=True)
            subprocess.run(["ip", "netns", "del", name], check=False)
        subprocess.run(["ip", "link", "del", bridge], check=False)


@contextmanager
def running(argv: Sequence[str], ready: str, *, stderr: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A process that has said ``ready``; stopped afterwards."""
    with ExitStack() as stack:
        other = stack.enter_context(open(os.devnull, "w"))
        out, err = (other, subprocess.PIPE) if stderr else (subprocess.PIPE, other)
        process = stack.enter_context(subprocess.Popen(argv, stdout=out, stderr=err, text=True, cwd="/"))
        stack.callback(process.kill)
        said: IO[str] | None = process.stderr if stderr else process.stdout
        assert said is not None
        for line in said:
            if ready in line:
                break
        else:
            pytest.fail(f"{argv[0]} ended with status {process.wait()} before it was ready")
        yield process


def http_in(namespace: str, port: int) -> Sequence[str]:
    """The command of an HTTP server in a namespace, on both families."""
    return ("ip", "netns", "exec", namespace, sys.executable, "-u", "-m", "http.server", str(port), "--bind", "::")


def http_status(namespace: str, url: str) -> str:
    """What a client in a namespace is answered; "" when it is not answered."""
    argv = ["ip", "netns", "exec", namespace, sys.executable, "-I", "-S", "-c", _FETCH, url]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()


@dataclass(frozen=True)
class Sshd:
    """An sshd of our own. identity: a key that it takes for root; stranger: one that it does not."""

    folder: Path
    address: str
    port: int
    pid: int = 0

    @property
    def identity(self) -> str:
        return f"file:{self.folder / 'client'}"

    @property
    def stranger(self) -> str:
        return f"file:{self.folder / 'stranger'}"

    @property
    def known_hosts(self) -> str:
        return str(self.folder / "known_hosts")

    @property
    def drop_in(self) -> Path:
        return self.folder / "drop-in.conf"

    def settings(self) -> dict[str, object]:
        """Keys that every action over ssh has."""
        return {"via": "ssh", "port": self.port, "identity": self.identity, "known_hosts": self.known_hosts}


@contextmanager
def sshd(folder: Path, address: str, port: int, *lines: str, namespace: str = "") -> Iterator[Sshd]:
    """Listening, with fresh keys. lines: more of its configuration."""
    need_root_and("sshd", "ssh", "ssh-keygen")
    made = Sshd(folder, address, port)
    for name in ("host", "client", "stranger"):
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
    (folder / "keys").write_text((folder / "client.pub").read_text(), "utf-8")
    host = " ".join((folder / "host.pub").read_text("utf-8").split()[:2])
    (folder / "known_hosts").write_text(f"[{address}]:{port} {host}\n", "utf-8")
    made.drop_in.touch()
    config = folder / "sshd_config"
    settings = (
        *lines,
        f"Include {made.drop_in}",
        f"Port {port}",
        f"ListenAddress {address}",
        f"HostKey {folder / 'host'}",
        "PidFile none",
        f"AuthorizedKeysFile {folder / 'keys'}",
        "PermitRootLogin prohibit-password",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "StrictModes no",
        "UsePAM no",
        "LogLevel INFO",
    )
    config.write_text("\n".join(settings) + "\n", "utf-8")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    inside = ("ip", "netns", "exec", namespace) if namespace else ()
    with running((*inside, "/usr/sbin/sshd", "-D", "-e", "-f", str(config)), "listening on", stderr=True) as process:
        yield replace(made, pid=process.pid)

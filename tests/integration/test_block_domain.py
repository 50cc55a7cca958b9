"""Blocking a domain at real resolvers: unbound with a response policy zone, dnsmasq with a hosts file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from countersign.actions import dns, vantage
from countersign.actions.vantage import Vantage
from countersign.errors import TargetFault
from countersign.model.inventory import Asset
from countersign.model.responses import Effect
from tests.namespaces import PATIENCE_S, Driven, Lan, fault, hand_of, lan, need_root_and, order, running

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("network")]  # one at a time: they share this machine
BAD, GOOD, TRUE = "login.bad-harbour.net", "good-harbour.net", "203.0.113.9"


@dataclass(frozen=True)
class Resolver:
    """A resolver in a namespace, the file that is ours, and how it is told."""

    net: Lan
    namespace: str
    form: str
    file: Path
    reload: tuple[str, ...]

    @property
    def asset(self) -> Asset:
        return Asset("ns-01", "resolver", addresses=(self.net.address(40),))

    def get(self, name: str) -> tuple[str, ...] | None:
        data = Vantage("local").ask(self.net.address(40), 53, dns.question(name, 7))
        found = dns.reply(data, name, 7)
        return found.addresses if found is not None else None

    def block(self, domain: str = BAD, name: str = "block_domain", **more: Any) -> Driven:
        table = {"via": f"netns:{self.namespace}", "form": self.form, "file": str(self.file), "reload": self.reload} | more
        return Driven(hand_of(name, table), order(name, self.asset, domain=domain, minutes=240))


UPSTREAM = ("--no-daemon", "--no-resolv", "--no-hosts", "--cache-size=0", "--user=root", "--log-facility=-", "--no-ping")


def dnsmasq(namespace: str, folder: Path, address: str, port: int, *more: str) -> tuple[str, ...]:
    """It knows both names."""
    own = (f"--listen-address={address}", f"--port={port}", "--bind-interfaces", f"--pid-file={folder / f'{port}.pid'}")
    names = tuple(f"--host-record={name},{TRUE}" for name in (BAD, f"www.{BAD}", GOOD))
    return ("ip", "netns", "exec", namespace, "dnsmasq", *UPSTREAM, *own, *names, *more)


@contextmanager
def hosts(net: Lan, namespace: str, folder: Path) -> Iterator[Resolver]:
    """dnsmasq reads a hosts file anew when told; one behind it knows the truth."""
    need_root_and("dnsmasq")
    file = folder / "countersign.hosts"
    file.touch()
    front = (f"--addn-hosts={file}", "--server=127.0.0.1#5300")
    argv = (*dnsmasq(namespace, folder, net.address(40), 53)[:-3], *front)
    with (
        running(dnsmasq(namespace, folder, "127.0.0.1", 5300), "started", stderr=True),
        running(argv, "read ", stderr=True) as front_process,
    ):
        yield Resolver(net, namespace, "hosts", file, ("kill", "-HUP", str(front_process.pid)))


@contextmanager
def rpz(net: Lan, namespace: str, folder: Path) -> Iterator[Resolver]:
    """unbound reads the zone anew when told."""
    need_root_and("unbound", "unbound-control", "dnsmasq")
    file, config = folder / "countersign.zone", folder / "unbound.conf"
    file.touch()
    config.write_text(
        f"""
server:
  interface: {net.address(40)}
  access-control: 0.0.0.0/0 allow
  module-config: "respip iterator"
  do-not-query-localhost: no
  do-daemonize: no
  use-syslog: no
  chroot: ""
  username: ""
  directory: "{folder}"
  pidfile: ""
  verbosity: 1
remote-control:
  control-enable: yes
  control-use-cert: no
  control-interface: {folder}/control
rpz:
  name: rpz.countersign
  zonefile: "{file}"
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@5300
""",
        "utf-8",
    )
    with (
        running(dnsmasq(namespace, folder, "127.0.0.1", 5300), "started", stderr=True),
        running(("ip", "netns", "exec", namespace, "unbound", "-d", "-c", str(config)), "start of service", stderr=True),
    ):
        told = ("/usr/sbin/unbound-control", "-c", str(config), "auth_zone_reload", "rpz.countersign")
        yield Resolver(net, namespace, "rpz", file, told)


@pytest.fixture(scope="module", params=[hosts, rpz])
def resolver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resolver]:
    with (
        lan() as net,
        request.param(net, net.add("r", 40), tmp_path_factory.mktemp("dns")) as made,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(vantage, "ASK_S", PATIENCE_S)
        yield made


@pytest.fixture(autouse=True)
def _clean(resolver: Resolver) -> Iterator[None]:
    yield
    resolver.file.write_text("", "utf-8")


def test_there_and_back(resolver: Resolver) -> None:
    one = resolver.block()
    assert one.check().effect is Effect.ABSENT
    assert resolver.get(BAD) == (TRUE,)
    one.do()
    one.do()
    assert (resolver.get(BAD), resolver.get(GOOD)) == (("0.0.0.0",), (TRUE,))
    assert one.probe().effect is Effect.HOLDS
    one.undo()
    one.undo()
    assert resolver.get(BAD) == (TRUE,)
    assert one.probe().effect is Effect.ABSENT


def test_names_below_it_go_too_in_a_policy_zone(resolver: Resolver) -> None:
    resolver.block().do()
    assert resolver.get(f"www.{BAD}") == (("0.0.0.0",) if resolver.form == "rpz" else (TRUE,))
    resolver.block().undo()


def test_unblocked_as_an_action_of_its_own_and_others_stay_blocked(resolver: Resolver) -> None:
    resolver.block().do()
    resolver.block(GOOD).do()
    back = resolver.block(BAD, "unblock_domain")
    back.do()
    assert back.probe().effect is Effect.HOLDS
    assert resolver.get(GOOD) == ("0.0.0.0",)
    resolver.block(GOOD).undo()


def test_a_name_that_nobody_has_is_not_called_blocked(resolver: Resolver) -> None:
    assert resolver.block("nobody-has-this.net").probe().effect is not Effect.HOLDS


def test_a_resolver_that_does_not_answer_is_not_known(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vantage, "ASK_S", 0.5)
    assert resolver.block(dns_port=54).probe().effect is Effect.UNKNOWN


def test_asked_from_a_namespace(resolver: Resolver) -> None:
    one = resolver.block(vantage=f"netns:{resolver.namespace}")
    assert one.probe().effect is Effect.ABSENT
    one.do()
    assert one.probe().effect is Effect.HOLDS
    one.undo()


@pytest.mark.parametrize("step", ["check", "do", "undo"])
def test_a_file_of_somebody_elses_is_left_alone(resolver: Resolver, step: str) -> None:
    theirs = "198.51.100.1 intranet.good-harbour.net\n"
    resolver.file.write_text(theirs, "utf-8")
    assert fault(resolver.block(), step).kind == TargetFault.REFUSED
    assert resolver.file.read_text("utf-8") == theirs


@pytest.mark.parametrize("step", ["check", "do", "undo"])
def test_a_file_that_is_not_there_is_named(resolver: Resolver, step: str) -> None:
    found = fault(resolver.block(file="/nowhere/zone"), step)
    assert found.kind == TargetFault.MISSING
    assert "/nowhere/zone" in str(found)


def test_a_reload_that_fails_is_a_fault_and_done_again_it_holds(resolver: Resolver) -> None:
    assert fault(resolver.block(reload=["false"])).kind == TargetFault.REFUSED
    assert resolver.block().probe().effect is Effect.ABSENT
    resolver.block().do()
    assert resolver.block().probe().effect is Effect.HOLDS
    resolver.block().undo()

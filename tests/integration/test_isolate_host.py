"""Isolation on real namespaces and a real sshd: HTTP 200 → blocked, management open → 200 after undo."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from countersign.actions.hand import Cover
from countersign.authority.terms import LeaseRefused, Use
from countersign.errors import ConfigError, TargetFault
from countersign.model.inventory import Asset
from countersign.model.responses import Effect
from tests.namespaces import (
    NFT,
    Driven,
    Lan,
    Sshd,
    fault,
    hand_of,
    http_in,
    http_status,
    lan,
    order,
    running,
    sh,
    sshd,
)

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("network")]  # one at a time: they share this machine
HTTP, MANAGED = 8080, 2222


@dataclass(frozen=True)
class Place:
    """host: an HTTP server and an sshd in a namespace. outsider, manager: other namespaces of the network."""

    net: Lan
    host: str
    outsider: str
    manager: str
    ssh: Sshd

    @property
    def asset(self) -> Asset:
        return Asset("ws-103", "workstation", addresses=(self.net.address(10),))

    @property
    def web(self) -> str:
        return http_status(self.outsider, f"http://{self.net.address(10)}:{HTTP}/")

    def settings(self, **more: Any) -> dict[str, Any]:
        probe = {"vantage": f"netns:{self.outsider}", "probe_port": HTTP, "management": [self.net.address(12)]}
        return {"via": f"netns:{self.host}"} | probe | more

    def isolate(self, asset: Asset | None = None, **more: Any) -> Driven:
        return Driven(
            hand_of("isolate_host", self.settings(**more)), order("isolate_host", asset or self.asset, minutes=240)
        )

    def release(self, **more: Any) -> Driven:
        return Driven(hand_of("release_host", self.settings(**more)), order("release_host", self.asset, minutes=240))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with lan() as net:
        host, outsider, manager = (net.add(short, end) for short, end in (("h", 10), ("o", 11), ("m", 12)))
        folder = tmp_path_factory.mktemp("sshd")
        with (
            running(http_in(host, HTTP), "Serving HTTP"),
            sshd(folder, net.address(10), MANAGED, namespace=host) as server,
        ):
            yield Place(net, host, outsider, manager, server)


@pytest.fixture(autouse=True)
def _clean(place: Place) -> Iterator[None]:
    yield
    sh("ip", "netns", "exec", place.host, NFT, "flush", "ruleset")


def by_ssh(place: Place) -> dict[str, Any]:
    return place.ssh.settings()


def by_netns(place: Place) -> dict[str, Any]:
    return {"management_vantage": f"netns:{place.manager}", "management_port": MANAGED}


WAYS = pytest.mark.parametrize("way", [by_netns, by_ssh])


@WAYS
def test_there_and_back(place: Place, way: Any) -> None:
    one = place.isolate(**way(place))
    assert one.check().effect is Effect.ABSENT
    assert place.web == "200", "a check changes nothing"
    one.do()
    assert place.web == ""
    seen = one.probe()
    assert seen.effect is Effect.HOLDS, seen
    assert "management way is open" in seen.detail
    one.undo()
    assert one.probe().effect is Effect.ABSENT
    assert place.web == "200"


def chained(namespace: str, table: str, hook: str, rule: str) -> None:
    head = f"table inet {table} {{\nchain one {{\ntype filter hook {hook} priority 0;"
    sh("ip", "netns", "exec", namespace, NFT, "-f", "-", stdin=f"{head}\n{rule}\n}}\n}}\n")


def test_packets_that_are_lost_do_not_pass_for_a_host_that_is_cut_off(place: Place) -> None:
    """The host's kernel drops the first two of what knocks (60 bytes each), and takes the third."""
    chained(place.host, "lossy", "input", f"tcp dport {HTTP} quota 130 bytes counter drop")
    seen = place.isolate(**by_netns(place)).probe()
    assert seen.effect is Effect.ABSENT, seen
    listed = sh("ip", "netns", "exec", place.host, NFT, "list", "table", "inet", "lossy")
    assert "counter packets 2 " in listed


@pytest.mark.parametrize("code", ["admin-prohibited", "host-unreachable", "net-prohibited"])
def test_a_refusal_from_the_way_there_says_nothing_about_the_host(place: Place, code: str) -> None:
    """A router or firewall in between answers; whether the host is cut off is not known."""
    chained(place.outsider, "way", "output", f"tcp dport {HTTP} reject with icmp type {code}")
    try:
        assert place.isolate(**by_netns(place)).probe().effect is Effect.UNKNOWN
    finally:
        sh("ip", "netns", "exec", place.outsider, NFT, "flush", "ruleset")


@WAYS
def test_released_as_an_action_of_its_own(place: Place, way: Any) -> None:
    place.isolate(**way(place)).do()
    back = place.release(**way(place))
    assert back.check().effect is Effect.ABSENT
    back.do()
    assert back.probe().effect is Effect.HOLDS
    assert place.web == "200"
    back.undo()
    assert place.web == ""


@WAYS
def test_done_twice_is_done_once_and_undone_twice_is_undone_once(place: Place, way: Any) -> None:
    one = place.isolate(**way(place))
    one.undo()
    assert one.probe().effect is Effect.ABSENT
    one.do()
    once = sh("ip", "netns", "exec", place.host, NFT, "list", "ruleset")
    one.do()
    assert sh("ip", "netns", "exec", place.host, NFT, "list", "ruleset") == once
    one.undo()
    one.undo()
    assert sh("ip", "netns", "exec", place.host, NFT, "list", "ruleset") == ""


def test_the_hosts_own_rules_stay_and_cannot_let_anything_in(place: Place) -> None:
    own = "table inet filter {\n chain input {\n type filter hook input priority 0; policy accept;\n accept\n }\n}\n"
    sh("ip", "netns", "exec", place.host, NFT, "-f", "-", stdin=own)
    before = sh("ip", "netns", "exec", place.host, NFT, "list", "ruleset")
    one = place.isolate(**by_netns(place))
    one.do()
    assert place.web == ""
    one.undo()
    assert sh("ip", "netns", "exec", place.host, NFT, "list", "ruleset") == before


def test_the_host_reaches_nobody_but_management(place: Place) -> None:
    with running(http_in(place.outsider, HTTP), "Serving HTTP"), running(http_in(place.manager, HTTP), "Serving HTTP"):
        urls = [f"http://{place.net.address(end)}:{HTTP}/" for end in (11, 12)]
        assert [http_status(place.host, url) for url in urls] == ["200", "200"]
        place.isolate().do()
        assert [http_status(place.host, url) for url in urls] == ["", "200"]
        assert http_status(place.host, f"http://127.0.0.1:{HTTP}/") == "200", "loopback stays"


def test_over_ipv6_too(place: Place) -> None:
    six = f"2001:db8:{place.net.number}::"
    url = f"http://[{six}a]:{HTTP}/"
    assert http_status(place.outsider, url) == "200"
    both = Asset("ws-103", addresses=(place.net.address(10), f"{six}a"))
    one = place.isolate(both, management=[f"{six}c"], management_vantage="")
    one.do()
    assert http_status(place.outsider, url) == ""
    assert http_status(place.manager, url) == "200"
    assert one.probe().effect is Effect.HOLDS


def test_one_address_that_answers_is_not_isolated(place: Place) -> None:
    """An isolation of IPv4 alone, such as somebody's own, is not what was approved."""
    script = "table ip own {\n chain i {\n type filter hook input priority 0; policy drop;\n }\n}\n"
    sh("ip", "netns", "exec", place.host, NFT, "-f", "-", stdin=script)
    both = Asset("ws-103", addresses=(place.net.address(10), f"2001:db8:{place.net.number}::a"))
    seen = place.isolate(both).probe()
    assert seen.effect is Effect.ABSENT, seen


def test_without_a_vantage_nobody_knows(place: Place) -> None:
    one = place.isolate(vantage="")
    one.do()
    assert one.probe().effect is Effect.UNKNOWN
    assert "actions.isolate_host.vantage" in one.probe().detail


def test_a_host_that_is_down_is_not_called_isolated(place: Place) -> None:
    one = place.isolate(**by_ssh(place))
    sh("ip", "-n", place.host, "link", "set", "eth0", "down")
    try:
        assert one.probe().effect is Effect.UNKNOWN
    finally:
        sh("ip", "-n", place.host, "link", "set", "eth0", "up")


def test_a_port_that_nobody_serves_still_says_that_the_host_is_reached(place: Place) -> None:
    one = place.isolate(probe_port=9)
    assert one.probe().effect is Effect.ABSENT
    one.do()
    assert one.probe().effect is Effect.HOLDS


def test_the_way_back_over_ssh_stays_open_even_if_nobody_named_this_machine(place: Place) -> None:
    one = place.isolate(**by_ssh(place), management=["192.0.2.250"])
    one.do()
    assert one.probe().effect is Effect.HOLDS
    one.undo()
    assert place.web == "200"


# --- what goes wrong ----------------------------------------------------------------------------------------------


def untouched(place: Place) -> bool:
    return sh("ip", "netns", "exec", place.host, NFT, "list", "ruleset") == ""


@pytest.mark.parametrize("step", ["check", "do", "undo"])
def test_a_namespace_of_another_host_is_refused(place: Place, step: str) -> None:
    other = Asset("dc-01", addresses=("192.0.2.10",))
    found = fault(place.isolate(other), step)
    assert found.kind == TargetFault.REFUSED
    assert untouched(place)


def test_a_host_without_an_address_is_refused(place: Place) -> None:
    for addresses in ((), ("198.18.0.0/16",)):
        assert fault(place.isolate(Asset("ws-103", addresses=addresses))).kind == TargetFault.MISSING
    assert untouched(place)


@pytest.mark.parametrize("step", ["check", "do", "undo"])
def test_faults_of_the_connection_have_their_kinds(place: Place, tmp_path: Path, step: str) -> None:
    empty = tmp_path / "known_hosts"
    empty.touch()
    ssh = by_ssh(place)
    nowhere = Asset("ws-103", addresses=(place.net.address(99),))
    cases = [
        (place.isolate(via="netns:cs-nowhere"), TargetFault.UNREACHABLE),
        (place.isolate(**ssh | {"identity": place.ssh.stranger}), TargetFault.CREDENTIALS),
        (place.isolate(**ssh | {"identity": "file:/nowhere/key"}), TargetFault.CREDENTIALS),
        (place.isolate(**ssh | {"user": "nobody-here"}), TargetFault.CREDENTIALS),
        (place.isolate(**ssh | {"known_hosts": str(empty)}), TargetFault.CREDENTIALS),
        (place.isolate(**ssh | {"port": MANAGED + 1}), TargetFault.UNREACHABLE),
        (place.isolate(nowhere, **ssh), TargetFault.UNREACHABLE),
    ]
    for one, kind in cases:
        found = fault(one, step)
        assert found.kind == kind, found
        assert "PRIVATE KEY" not in str(found)
    assert untouched(place)


@pytest.mark.parametrize("step", ["check", "do", "undo"])
def test_a_user_without_the_right_is_told_so(place: Place, tmp_path_factory: pytest.TempPathFactory, step: str) -> None:
    folder = tmp_path_factory.mktemp("plain")
    folder.chmod(0o755)
    drop = "/usr/bin/setpriv --reuid=65534 --regid=65534 --clear-groups --"
    forced = f'ForceCommand {drop} /bin/sh -c "$SSH_ORIGINAL_COMMAND"'
    with sshd(folder, place.net.address(10), MANAGED + 2, forced, namespace=place.host) as server:
        assert fault(place.isolate(**server.settings()), step).kind == TargetFault.DENIED
    assert untouched(place)


def test_asked_from_a_vantage_over_ssh(place: Place, tmp_path: Path) -> None:
    with sshd(tmp_path, place.net.address(11), MANAGED, namespace=place.outsider) as outside:
        hosts = Path(outside.known_hosts)
        hosts.write_text(hosts.read_text("utf-8") + Path(place.ssh.known_hosts).read_text("utf-8"), "utf-8")
        keys = tmp_path / "keys"
        keys.write_text(keys.read_text("utf-8") + (place.ssh.folder / "client.pub").read_text("utf-8"), "utf-8")
        more = by_ssh(place) | {"vantage": f"ssh:{outside.address}", "known_hosts": str(hosts)}
        one = place.isolate(**more)
        assert one.probe().effect is Effect.ABSENT
        one.do()
        assert one.probe().effect is Effect.HOLDS


def test_no_answer_in_the_middle_ends_in_time(place: Place, tmp_path: Path) -> None:
    with sshd(tmp_path, place.net.address(10), MANAGED + 3, "ForceCommand exec sleep 60", namespace=place.host) as server:
        table = place.settings(**server.settings())
        one = Driven(hand_of("isolate_host", table, 2.0), order("isolate_host", place.asset, minutes=240))
        found = fault(one)
    assert found.kind == TargetFault.TIMEOUT
    assert "may still be going on" in str(found)


def test_a_server_that_takes_the_connection_and_says_nothing(place: Place) -> None:
    with socket.create_server((place.net.here, 0)) as silent:
        asset = Asset("ws-103", addresses=(place.net.here,))
        table = place.settings(**by_ssh(place) | {"port": silent.getsockname()[1]})
        found = fault(Driven(hand_of("isolate_host", table, 4.0), order("isolate_host", asset, minutes=240)))
    assert found.kind == TargetFault.TIMEOUT


def test_a_target_that_never_stops_talking_ends_in_time(place: Place, tmp_path: Path) -> None:
    with sshd(tmp_path, place.net.address(10), MANAGED + 4, "ForceCommand exec yes", namespace=place.host) as server:
        table = place.settings(**server.settings())
        one = Driven(hand_of("isolate_host", table, 2.0), order("isolate_host", place.asset, minutes=240))
        assert fault(one).kind == TargetFault.TIMEOUT


def test_what_a_target_says_is_in_no_message(place: Place, tmp_path: Path) -> None:
    """A host that belongs to somebody else by now may say what it likes."""
    said = "ForceCommand echo 'Permission granted <script> 0wned' >&2; exit 9"
    with sshd(tmp_path, place.net.address(10), MANAGED + 5, said, namespace=place.host) as server:
        found = fault(place.isolate(**server.settings()))
    assert found.kind == TargetFault.REFUSED
    assert "0wned" not in str(found)
    assert "status 9" in str(found)


def test_no_lease_no_effect(place: Place) -> None:
    one = place.isolate()
    for step in (one.hand.check, one.hand.do, one.hand.probe, one.hand.undo):
        with pytest.raises(LeaseRefused):
            step(one.order, Cover(None, Use("run-1", 1, "C-1")))
    assert untouched(place)


# --- settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({"via": "netns:a"}, "management"),
        ({"via": "netns:a", "management": ["10.0.0.0/33"]}, "management"),
        ({"via": "netns:a", "management": ["10.0.0.1"], "vantage": "local"}, "probe_port"),
        ({"via": "ssh", "management": ["10.0.0.1"]}, "identity"),
        ({"via": "ssh", "management": ["10.0.0.1"], "identity": "file:/k"}, "known_hosts"),
        ({"via": "netns:a", "management": ["10.0.0.1"], "vantage": "ssh:10.0.0.9", "probe_port": 1}, "identity"),
    ],
)
def test_a_missing_setting_is_named(table: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        hand_of("isolate_host", table)
    assert f"actions.isolate_host.{key}" in str(caught.value)

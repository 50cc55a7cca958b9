"""Blocking an outside address on a real firewall: a namespace that forwards; a client behind it, and the outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from countersign.errors import TargetFault
from countersign.model.inventory import Asset
from countersign.model.responses import Effect
from tests.namespaces import NFT, Driven, Lan, fault, hand_of, http_in, http_status, lan, order, running, sh

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("network")]  # one at a time: they share this machine
HTTP = 8080
FOUR, SIX, OTHER = "203.0.113.9", "2001:db8:ffff::9", "203.0.113.10"

FORWARDING = {
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/eth0/send_redirects": "0",
}
"""Redirects would show the client a way past the firewall."""


@dataclass(frozen=True)
class Edge:
    """The firewall is on the client's only way to the outside addresses."""

    net: Lan
    client: str
    firewall: str
    outside: str

    def get(self, address: str) -> str:
        return http_status(self.client, f"http://{f'[{address}]' if ':' in address else address}:{HTTP}/")

    def asset(self, *addresses: str) -> Asset:
        return Asset("fw-01", "firewall", addresses=addresses or (self.net.address(20),))

    def block(self, address: str, name: str = "block_address", assets: tuple[Asset, ...] = (), **more: Any) -> Driven:
        table = {"via": f"netns:{self.firewall}", "vantage": f"netns:{self.client}", "probe_port": HTTP} | more
        return Driven(hand_of(name, table), order(name, *(assets or (self.asset(),)), address=address, minutes=240))


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    with lan() as net:
        client, firewall, outside = (net.add(short, end) for short, end in (("c", 10), ("f", 20), ("o", 30)))
        six = f"2001:db8:{net.number}::"
        for key, value in FORWARDING.items():
            sh("ip", "netns", "exec", firewall, "tee", f"/proc/sys/net/{key}", stdin=value)
        for address in (f"{FOUR}/32", f"{OTHER}/32", f"{SIX}/128"):
            sh("ip", "-n", outside, "address", "add", address, "dev", "lo")
            family, hops = ("-6", (f"{six}14", f"{six}1e")) if ":" in address else ("-4", (net.address(20), net.address(30)))
            for name, hop in zip((client, firewall), hops, strict=True):
                sh("ip", "-n", name, family, "route", "add", address, "via", hop)
        sh("ip", "netns", "exec", client, "tee", "/proc/sys/net/ipv6/conf/eth0/accept_redirects", stdin="0")
        with running(http_in(outside, HTTP), "Serving HTTP"):
            made = Edge(net, client, firewall, outside)
            for address in (FOUR, SIX, OTHER):  # fresh routes take their first packets late on a busy machine
                assert any(made.get(address) == "200" for _ in range(20))
            yield made


@pytest.fixture(autouse=True)
def _clean(edge: Edge) -> Iterator[None]:
    yield
    sh("ip", "netns", "exec", edge.firewall, NFT, "flush", "ruleset")


@pytest.mark.parametrize("address", [FOUR, SIX])
def test_there_and_back(edge: Edge, address: str) -> None:
    one = edge.block(address)
    assert one.check().effect is Effect.ABSENT
    assert edge.get(address) == "200"
    one.do()
    one.do()
    assert (edge.get(address), edge.get(OTHER)) == ("", "200")
    assert one.probe().effect is Effect.HOLDS
    assert one.check().effect is Effect.HOLDS
    one.undo()
    one.undo()
    assert one.probe().effect is Effect.ABSENT
    assert edge.get(address) == "200"


def test_unblocked_as_an_action_of_its_own_and_others_stay_blocked(edge: Edge) -> None:
    edge.block(FOUR).do()
    edge.block(OTHER).do()
    back = edge.block(FOUR, "unblock_address")
    back.do()
    assert back.probe().effect is Effect.HOLDS
    assert (edge.get(FOUR), edge.get(OTHER)) == ("200", "")


def test_what_a_firewall_lists_is_not_called_an_effect(edge: Edge) -> None:
    one = edge.block(FOUR, vantage="")
    one.do()
    seen = one.probe()
    assert seen.effect is Effect.UNKNOWN
    assert "every firewall of the order lists" in seen.detail


def test_a_listed_address_that_still_answers_is_not_blocked(edge: Edge) -> None:
    """Somebody took the rules out and left the set."""
    one = edge.block(FOUR)
    one.do()
    for hook in ("input", "output", "forward"):
        sh("ip", "netns", "exec", edge.firewall, NFT, "flush", "chain", "inet", "countersign_blocked", hook)
    assert one.check().effect is Effect.HOLDS
    assert one.probe().effect is Effect.ABSENT
    one.do()
    assert one.probe().effect is Effect.HOLDS


def test_an_address_that_is_down_is_not_called_blocked(edge: Edge) -> None:
    assert edge.block("203.0.113.77").probe().effect is Effect.UNKNOWN


def test_one_firewall_that_fails_does_not_keep_the_others_from_it(edge: Edge) -> None:
    lost = Asset("fw-02", "firewall", addresses=("192.0.2.2",))
    one = edge.block(FOUR, assets=(lost, edge.asset()))
    assert fault(one).kind == TargetFault.REFUSED
    assert edge.get(FOUR) == ""


@pytest.mark.parametrize("step", ["check", "do", "undo"])
def test_what_is_never_to_be_blocked_is_not(edge: Edge, step: str) -> None:
    assert fault(edge.block(FOUR, never=["203.0.113.0/24"]), step).kind == TargetFault.REFUSED
    assert sh("ip", "netns", "exec", edge.firewall, NFT, "list", "ruleset") == ""

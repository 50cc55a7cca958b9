"""What reaches the kernel when names, addresses or domains of an order hold nftables and shell syntax: the rule set as the
kernel lists it is the one of an ordinary order, or the empty one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from countersign.actions import nftables
from countersign.errors import TargetFault
from countersign.model.inventory import Asset
from countersign.model.values import is_address
from tests.examples import examples
from tests.namespaces import NFT, Driven, hand_of, lan, order, sh

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("network")]  # one at a time: they share this machine
COVERS = ("isolate_host", "release_host", "block_address", "unblock_address")
STANDING = "203.0.113.77"
PIECES = [
    "fw-01", "; nft flush ruleset", "$(nft flush ruleset)", "`id`", "}", "{ 0.0.0.0/0 }", "accept", "\n", "\0", "'", '"',
    "#", " drop; add table inet evil", "@v4", "jump evil", "include \"/etc/passwd\"", "define x = 1", "203.0.113.9",
    "0.0.0.0", "0.0.0.0/0", "::", "2001:db8::1", "2001:DB8::1", "203.0.113.9-203.0.113.99", "203.0.113.9, 10.0.0.1",
    "{{7*7}}", "１", "flush ruleset", "countersign", "delete table inet countersign_blocked",
]  # fmt: skip
hostile = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=3).map("".join)
FEW = settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def there() -> Iterator[tuple[str, str]]:
    """A namespace and its address: a shell is used for an order whose target has it, and for no other."""
    with lan() as net:
        yield net.add("h", 10), net.address(10)


def kernel(host: str, script: bytes | None = None) -> str:
    """The rule set as the kernel has it; script: loaded into an empty one first."""
    if script is not None:
        sh("ip", "netns", "exec", host, NFT, "flush", "ruleset")
        sh("ip", "netns", "exec", host, NFT, "-f", "-", stdin=script.decode())
    return sh("ip", "netns", "exec", host, NFT, "list", "ruleset")


def carried_out(host: str, one: Driven, step: str, before: bytes) -> str:
    """What the kernel has after a step, from a rule set of ours on."""
    kernel(host, before)
    with suppress(TargetFault):
        getattr(one, step)()
    return kernel(host)


@FEW
@given(name=hostile, role=hostile, address=hostile, step=st.sampled_from(["check", "do", "undo"]))
@example(name="; nft flush ruleset", role="accept", address="203.0.113.9", step="do")
@example(name="fw-01", role="x", address="0.0.0.0/0", step="do")
@example(name="; nft flush ruleset", role="accept", address="198.18.0.0/16", step="undo")
def test_a_host_is_isolated_by_the_rules_of_its_settings_alone(
    there: tuple[str, str], name: str, role: str, address: str, step: str
) -> None:
    host, own = there
    table: dict[str, Any] = {"via": f"netns:{host}", "management": ["192.0.2.7"]}
    asset = Asset(name, role, name, addresses=(own, address), aliases=(name,))
    one = Driven(hand_of("isolate_host", table), order("isolate_host", asset, minutes=240))
    meant = nftables.isolation(one.hand._management, "", 22)  # type: ignore[attr-defined]
    isolated, free = kernel(host, meant), kernel(host, nftables.release())
    found = carried_out(host, one, step, meant if step == "undo" else nftables.release())
    assert isolated != free
    assert found in ({"do": (isolated, free), "undo": (free, isolated), "check": (free,)}[step])


@FEW
@given(name=hostile, address=hostile | st.just("203.0.113.9"), step=st.sampled_from(["check", "do", "undo"]))
@example(name="}; flush ruleset", address="203.0.113.9", step="do")
@example(name="}; flush ruleset", address="203.0.113.9", step="undo")
@example(name="fw-01", address="2001:db8::1", step="do")
@example(name="fw-01", address="203.0.113.9 }; flush ruleset; #", step="do")
@example(name="fw-01", address="0.0.0.0/0", step="do")
def test_one_address_goes_into_one_set(there: tuple[str, str], name: str, address: str, step: str) -> None:
    host, own = there
    one = Driven(
        hand_of("block_address", {"via": f"netns:{host}"}),
        order("block_address", Asset(name, name, addresses=(own,)), address=address, minutes=240),
    )
    standing = nftables.block(STANDING)
    before = kernel(host, standing)
    with_it = kernel(host, standing + nftables.block(address)) if is_address(address) else before
    start = standing + nftables.block(address) if step == "undo" and is_address(address) else standing
    found = carried_out(host, one, step, start)
    allowed = {"do": {with_it, before}, "undo": {before, with_it}, "check": {before}}[step]
    assert found in allowed
    assert STANDING in found
    if not is_address(address):
        assert found == before


@pytest.mark.parametrize("step", ["do", "undo"])
def test_an_ordinary_order_changes_something(there: tuple[str, str], step: str) -> None:
    """So that refusing everything would not pass."""
    address = "203.0.113.9"
    host, own = there
    one = Driven(
        hand_of("block_address", {"via": f"netns:{host}"}),
        order("block_address", Asset("}; flush ruleset", addresses=(own,)), address=address, minutes=240),
    )
    standing, both = nftables.block(STANDING), nftables.block(STANDING) + nftables.block(address)
    found = carried_out(host, one, step, both if step == "undo" else standing)
    assert found == kernel(host, both if step == "do" else both + nftables.unblock(address))

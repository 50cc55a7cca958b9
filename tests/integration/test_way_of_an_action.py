"""The whole way of an action on a real target: from a suggestion through signatures to the effect, probed, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from countersign.approvals.status import Status
from countersign.approving import by_name
from countersign.bootstrap import Site
from countersign.model.entries import Kind
from countersign.model.inventory import Asset, Criticality, Inventory
from countersign.running import Runner
from tests import fakes
from tests.integration.test_proposals import ADA, BEA, CYN, Room
from tests.namespaces import Lan, http_in, http_status, lan, need_root_and, running

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("network")]  # one at a time: they share this machine
HTTP, MANAGED = 8080, 2222


@pytest.fixture(scope="module")
def net() -> Iterator[tuple[Lan, str, str, str]]:
    need_root_and("nft", "ip")
    with lan() as found:
        host, outsider, manager = (found.add(short, end) for short, end in (("h", 10), ("o", 11), ("m", 12)))
        ways = running(http_in(host, HTTP), "Serving HTTP"), running(http_in(host, MANAGED), "Serving HTTP")
        with ways[0], ways[1]:
            yield found, host, outsider, manager


def seen(net: tuple[Lan, str, str, str]) -> tuple[str, str]:
    """What the outsider gets from the host's web server, and what the management station gets."""
    found, _, outsider, manager = net
    return (
        http_status(outsider, f"http://{found.address(10)}:{HTTP}/"),
        http_status(manager, f"http://{found.address(10)}:{MANAGED}/"),
    )


def room_on(site: Site, net: tuple[Lan, str, str, str]) -> Room:
    """A site whose case is about the host in the namespace, with isolation switched on."""
    found, host, outsider, _ = net
    table = {
        "run": True,
        "via": f"netns:{host}",
        "management": [found.address(12)],
        "vantage": f"netns:{outsider}",
        "probe_port": HTTP,
    }
    site.config = replace(site.config, actions={"isolate_host": table})
    room = Room(site)
    assets = (Asset("dc-01", "directory", "k.curlew", Criticality.HIGH, (found.address(10),)),)
    site.commands.import_inventory(Inventory(assets, ()), "test")
    return room


def test_a_host_is_isolated_and_released_by_people_s_signatures(site: Site, net: tuple[Lan, str, str, str]) -> None:
    room = room_on(site, net)
    assert seen(net) == ("200", "200")
    number = room.approving.propose(room.case, by_name("isolate_host", ""), CYN)
    assert Runner(site).step() == 0, "nobody has signed"
    room.approve(number, ADA)
    assert Runner(site).step() == 1
    assert room.state(number) == Status.PROBED_OK.value, room.approving.sheet(number).steps
    outside, managed = seen(net)
    assert (outside != "200", managed) == (True, "200")
    undo = room.approving.propose_undo(number, CYN)
    room.approve(undo, BEA)
    Runner(site).step()
    assert room.state(undo) == Status.PROBED_OK.value, room.approving.sheet(undo).steps
    assert seen(net) == ("200", "200")
    order = [entry.kind for entry in fakes.entries(site.engine) if entry.kind.startswith("action.")]
    assert order == [Kind.ACTION_INTENDED, Kind.ACTION_STARTED, Kind.ACTION_PROBED] * 2
    (times, _) = [entry.body["ms"] for entry in fakes.entries(site.engine, Kind.ACTION_PROBED)]
    assert set(times) >= {"check", "seal", "do", "probe"}
    assert fakes.verified(site).ok
    fakes.assert_rebuilds(site)


def test_what_an_alert_says_reaches_no_target(site: Site, net: tuple[Lan, str, str, str]) -> None:
    """Fields that name another host, or hold shell and nftables, change neither the target nor the command."""
    room = room_on(site, net)
    hostile = 'dc-01; nft flush ruleset; {{7*7}} )(uid=*) "\n delete table inet countersign'
    alert = json.loads(fakes.wazuh("evil", host="dc-01", rule="90", level=15, title=hostile, data={"dstuser": hostile}))
    alert["rule"]["mitre"] = {"id": ["T1486"], "tactic": ["Impact"], "technique": [hostile]}
    fakes.deliver(site, [json.dumps(alert).encode()])
    number = room.approving.propose(room.case, by_name("isolate_host", ""), CYN)
    held = room.approving.sheet(number)
    assert "nft" not in held.data
    assert [target["name"] for target in json.loads(held.data)["targets"]] == ["dc-01"]
    room.approve(number, ADA)
    Runner(site).step()
    assert room.state(number) == Status.PROBED_OK.value
    undo = room.approving.propose_undo(number, CYN)
    room.approve(undo, BEA)
    Runner(site).step()
    assert seen(net) == ("200", "200")

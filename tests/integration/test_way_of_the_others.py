"""Block an address, block a domain, refuse an ssh user: by people's signatures and the runner, on a real firewall, resolver
and sshd, and back. What each hand does at its target stands beside it; here it is the way from the proposal that counts."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from countersign.actions import ACTIONS
from countersign.approvals.status import Status
from countersign.bootstrap import Site
from countersign.model.inventory import Asset, Criticality, Identity, Inventory
from countersign.model.responses import Scene
from countersign.running import Runner
from tests import acting, fakes
from tests.integration.test_block_address import FOUR, HTTP, Edge, edge
from tests.integration.test_block_domain import BAD, TRUE, Resolver, resolver
from tests.integration.test_proposals import ADA, BEA, CYN, Room
from tests.integration.test_refuse_ssh_user import GAMES, HOST, server
from tests.namespaces import Sshd

__all__ = ["edge", "resolver", "server"]
pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.xdist_group("network")]
MEDIUM = Criticality.MEDIUM


def there(room: Room, action: str, records: tuple[Asset | Identity, ...], **parameters: str | int) -> int:
    """Proposed, signed, carried out and shown to hold."""
    assets = tuple(one for one in records if isinstance(one, Asset))
    people = tuple(one for one in records if isinstance(one, Identity))
    known = Inventory(assets, people)
    room.site.commands.import_inventory(known, "test", mode="replace")
    stage = Scene(room.case, records, parameters, known)
    number = room.approving.propose(room.case, lambda _: acting.suggestion(ACTIONS[action], room.case, stage), CYN)
    room.approve(number, ADA)
    assert Runner(room.site).step() == 1
    assert room.state(number) == Status.PROBED_OK.value, room.approving.sheet(number).steps
    return number


def back(room: Room, number: int) -> None:
    """By an undo that people signed."""
    undo = room.approving.propose_undo(number, CYN)
    room.approve(undo, BEA)
    assert Runner(room.site).step() == 1
    assert room.state(undo) == Status.PROBED_OK.value, room.approving.sheet(undo).steps
    fakes.verified(room.site)
    fakes.assert_rebuilds(room.site)


def room_with(site: Site, action: str, **table: object) -> Room:
    site.config = replace(site.config, actions={action: {"run": True} | table})
    return Room(site)


def test_an_address_is_blocked_and_unblocked(site: Site, edge: Edge) -> None:
    places = {"via": f"netns:{edge.firewall}", "vantage": f"netns:{edge.client}", "probe_port": HTTP}
    room = room_with(site, "block_address", **places)
    firewall = Asset("fw-01", "firewall", "k.curlew", MEDIUM, (edge.net.address(20),))
    number = there(room, "block_address", (firewall,), address=FOUR, minutes=240)
    assert edge.get(FOUR) == ""
    back(room, number)
    assert edge.get(FOUR) == "200"


def test_a_domain_is_blocked_and_unblocked(site: Site, resolver: Resolver) -> None:
    own = {"form": resolver.form, "file": str(resolver.file), "reload": list(resolver.reload)}
    room = room_with(site, "block_domain", via=f"netns:{resolver.namespace}", **own)
    one = Asset("ns-01", "resolver", "k.curlew", MEDIUM, (resolver.net.address(40),))
    number = there(room, "block_domain", (one,), domain=BAD, minutes=240)
    assert resolver.get(BAD) == ("0.0.0.0",)
    back(room, number)
    assert resolver.get(BAD) == (TRUE,)


def test_an_ssh_user_is_refused_and_allowed(site: Site, server: Sshd) -> None:
    told, probe = ["kill", "-HUP", str(server.pid)], f"file:{server.folder / 'probe.pub'}"
    own = {"file": str(server.drop_in), "reload": told, "probe_key": probe}
    room = room_with(site, "refuse_ssh_user", **(server.settings() | own))
    number = there(room, "refuse_ssh_user", (replace(GAMES, criticality=MEDIUM), replace(HOST, criticality=MEDIUM)))
    assert "DenyUsers games" in server.drop_in.read_text("utf-8")
    back(room, number)
    assert "games" not in server.drop_in.read_text("utf-8")

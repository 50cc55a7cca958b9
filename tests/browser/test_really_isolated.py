"""From "isolate this host" on the case page to a host that is cut off and back: Chromium with passkeys before ``countersign
serve``, whose runner works on a host in a network namespace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from countersign.approving import Approving
from countersign.bootstrap import open_site
from countersign.config import FILE
from countersign.impact import Impact
from countersign.model.entries import Kind
from countersign.model.inventory import Asset, Criticality, Inventory
from countersign.web.session import Sessions
from tests import fakes, responding
from tests.browser.test_approvals import ADA, BEA, CYN, House
from tests.namespaces import Lan, http_in, http_status, lan, need_root_and, running
from tests.ports import free_port

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.root, pytest.mark.xdist_group("network")]
HTTP, MANAGED = 8080, 2222


@dataclass
class Estate:
    """A host, somebody outside, and the management station, with the house that looks after them."""

    net: Lan
    outsider: str
    manager: str
    house: House
    case: str

    def seen(self) -> tuple[str, str]:
        """What the outsider gets from the host's web server, and the management station from its own door."""
        host = self.net.address(10)
        return http_status(self.outsider, f"http://{host}:{HTTP}/"), http_status(self.manager, f"http://{host}:{MANAGED}/")


@pytest.fixture
def estate(tmp_path: Path, chromium: Browser) -> Iterator[Estate]:
    need_root_and("nft", "ip")
    with lan() as net:
        host, outsider, manager = (net.add(short, end) for short, end in (("h", 10), ("o", 11), ("m", 12)))
        table = {
            "via": f"netns:{host}",
            "management": [net.address(12)],
            "vantage": f"netns:{outsider}",
            "probe_port": HTTP,
            "management_vantage": f"netns:{manager}",
            "management_port": MANAGED,
        }
        data = fakes.data_directory(tmp_path / "data")
        with (data / FILE).open("a") as file:
            file.write("\n[actions.isolate_host]\nrun = true\n")
            file.writelines(f"{name} = {json.dumps(value)}\n" for name, value in table.items())
        port = free_port()
        site = open_site(data)
        case = responding.case(site)
        asset = Asset("dc-01", "directory", "k.curlew", Criticality.HIGH, (net.address(10),))
        site.commands.import_inventory(Inventory((asset,), ()), "test")
        base = f"http://localhost:{port}"
        house = House(site, Approving(site, base), base, Sessions(site.session_key), chromium)
        serve = ("env", f"PYTHONPATH={fakes.ROOT / 'src'}", *fakes.command("serve", "--data", data, "--port", str(port)))
        webs = running(http_in(host, HTTP), "Serving HTTP"), running(http_in(host, MANAGED), "Serving HTTP")
        with webs[0], webs[1], running(serve, "http://"):
            yield Estate(net, outsider, manager, house, case)
            for context in chromium.contexts:
                context.close()
        site.close()


def ended(page: Page, base: str, number: int) -> None:
    """Its page shows, without being loaded again, that it was carried out and holds."""
    page.goto(f"{base}/approvals/{number}")
    live = page.locator("#approval-live")
    expect(live.locator(".pill").first).to_have_text("holds")
    for step in ("proposed", "approved", "intent written", "started", "probed"):
        expect(live).to_contain_text(step)
    for step in ("check", "seal", "do", "probe"):
        expect(live).to_contain_text(f"{step} ")
    expect(live).to_contain_text("ms after its approval")
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth"), "nothing runs over its edge"


def test_a_host_is_cut_off_from_the_case_page_and_comes_back(estate: Estate, tmp_path: Path) -> None:
    house, base = estate.house, estate.house.base
    first = house.seat(ADA)
    asks, second = house.seat(CYN, roles=("analyst",)), house.seat(BEA, roles=("analyst",))
    entitled = Impact(house.site).grant(BEA, "approver")  # by a signature, as `verify` asks of all but the first
    assert entitled is not None
    first.approve(base, entitled)
    expect(first.page.locator("#dialog .done")).to_be_visible()
    assert estate.seen() == ("200", "200")
    asks.page.goto(f"{base}/cases/{estate.case}")
    asks.page.click("#responses summary")
    asks.page.click("#responses a[data-form]")
    asks.page.click("#dialog button[type=submit]")
    expect(asks.page.locator("#dialog .done")).to_contain_text("waits for approval by others")
    (line,) = house.approving.waiting()
    assert estate.seen() == ("200", "200"), "nobody has signed"
    first.approve(base, line.number)
    expect(first.page.locator("#dialog .done")).to_contain_text("carried out now")
    ended(asks.page, base, line.number)
    blocked, managed = estate.seen()
    assert (blocked != "200", managed) == (True, "200")
    asks.page.screenshot(path=tmp_path / "isolated.png", full_page=True)
    assert Axe().run(asks.page).violations_count == 0

    asks.page.click("#approval-live a[data-form]")
    asks.page.click("#dialog button[type=submit]")
    expect(asks.page.locator("#dialog .done")).to_be_visible()
    (undo,) = house.approving.waiting()
    assert (undo.what, estate.seen()[0] != "200") == ("release_host", True)
    second.approve(base, undo.number)
    expect(second.page.locator("#dialog .done")).to_contain_text("carried out now")
    ended(second.page, base, undo.number)
    assert estate.seen() == ("200", "200")
    second.page.screenshot(path=tmp_path / "released.png", full_page=True)
    asks.page.goto(f"{base}/approvals/{line.number}")
    expect(asks.page.locator("#approval-live .pill").first).to_have_text("taken back")
    expect(asks.page.locator("#approval-live")).to_contain_text("undo probed")
    asks.page.goto(f"{base}/cases/{estate.case}")
    expect(asks.page.locator("#responses table")).to_contain_text("taken back")
    assert [asks.complaints, first.complaints, second.complaints] == [[], [], []]
    way = [entry.kind for entry in fakes.entries(house.site.engine) if entry.kind.startswith("action.")]
    assert way == [Kind.ACTION_INTENDED, Kind.ACTION_STARTED, Kind.ACTION_PROBED] * 2
    assert fakes.run("verify", "--data", house.site.data).returncode == 0

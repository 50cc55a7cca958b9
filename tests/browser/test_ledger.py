"""The Ledger page of a running service: found by keys, proved to a stranger, and tampering that shows by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select, update

from countersign.api.server import create_app
from countersign.bootstrap import Site, open_site
from countersign.ledger.proof import verify_proof
from countersign.ledger.tiles import entries_path
from countersign.model.entries import Kind
from countersign.store import ledger
from countersign.store import tables as t
from countersign.store.engine import reading, writing
from countersign.web.session import Sessions
from tests.browser.conftest import PATIENCE_MS, _serve
from tests.browser.site import WallClock
from tests.browser.test_console import WCAG
from tests.earned import open_cases
from tests.fakes import data_directory, deliver, wazuh

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=alert(1)> \u202egnp.exe"
LEDGER = "[ledger]\nseal_ms = 300\nseal_limit_ms = 1000\nverify_percent = 60\n"
"""A reading of everything, a rest, and the pulse: seconds, on a machine that has other things to do."""


@dataclass
class Service:
    base: str
    site: Site
    sessions: Sessions
    browser: Browser
    complaints: list[str] = field(default_factory=list)

    def enter(self, *, theme: str = "dark", bypass_csp: bool = False) -> Page:
        size: Any = {"width": 1440, "height": 900}
        context = self.browser.new_context(viewport=size, color_scheme=theme, bypass_csp=bypass_csp)  # type: ignore[arg-type]
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: self.complaints.append(str(e)))
        page.goto(f"{self.base}/enter?t={self.sessions.link_token('ada', self.site.clock.now_ms())}")
        page.wait_for_selector("#stream[data-state=on]")
        return page

    def newest(self, kind: Kind) -> int:
        with reading(self.site.engine) as conn:
            return ledger.last_index(conn, kind)


@pytest.fixture
def service(tmp_path: Path, chromium: Browser) -> Iterator[Service]:
    folder = data_directory(tmp_path / "data")
    with (folder / "countersign.toml").open("a") as file:
        file.write(LEDGER)
    site = open_site(folder, clock=WallClock())
    now_ms = site.clock.now_ms()
    deliver(
        site, [wazuh(f"{i}", host=f"h-{i}", rule=f"6{i}", data={}, at_ms=now_ms - 1000, title=HOSTILE) for i in range(30)]
    )
    site.commands.dispose(open_cases(site)[0], "benign", f"routine {HOSTILE}", "ada")
    sessions = Sessions(site.session_key)
    with _serve(create_app(site, sessions), "on") as base:
        found = Service(base, site, sessions, chromium)
        yield found
        for context in chromium.contexts:
            context.close()
    site.close()


@contextmanager
def flipped(path: Path) -> Iterator[None]:
    data = path.read_bytes()
    path.write_bytes(data[:700] + bytes([data[700] ^ 1]) + data[701:])
    yield
    path.write_bytes(data)


def bundle(site: Site) -> Path:
    """The file of the first entries, all of them sealed: those that came later would be published in another."""
    return site.data / "tlog" / entries_path(0, min(256, site.sealer.seal().size))


def test_a_flipped_byte_turns_the_header_by_itself_and_its_repair_turns_it_back(service: Service) -> None:
    page = service.enter()
    page.goto(f"{service.base}/ledger")
    header, state = page.locator("#status"), page.locator("#ledger-state")
    expect(header).to_contain_text("Ledger verified")
    page.evaluate("() => { window.notReloaded = true; }")
    with flipped(bundle(service.site)):
        expect(header).to_contain_text("Ledger does not verify")
        expect(state.get_by_role("alert")).to_contain_text("was changed")
        expect(state).to_contain_text("NOT VERIFIED")
    expect(header).to_contain_text("Ledger verified")
    expect(state.get_by_role("alert")).to_have_count(0)
    assert page.evaluate("() => window.notReloaded === true")
    assert service.complaints == []


def test_an_edited_row_turns_it_too_and_is_named(service: Service) -> None:
    page = service.enter()
    expect(page.locator("#status")).to_contain_text("Ledger verified")
    with reading(service.site.engine) as conn:
        data = bytes(conn.execute(select(t.entries.c.bytes).where(t.entries.c.idx == 3)).scalar_one())
    with writing(service.site.engine) as conn:
        conn.execute(
            update(t.entries).where(t.entries.c.idx == 3).values(bytes=data.replace(b"countersign", b"countersigm"))
        )
    expect(page.locator("#status")).to_contain_text("Ledger does not verify")
    page.locator("#status a", has_text="Ledger does not verify").click()
    alert = page.locator("#ledger-state").get_by_role("alert")
    expect(alert).to_contain_text("database: entry 3 was changed: it is not the sealed one")
    alert.get_by_role("link", name="Entry 3").click()
    expect(page.locator("h1")).to_contain_text("agent.registered")


def test_what_cannot_be_sealed_is_said_on_every_page_until_it_can(service: Service) -> None:
    page = service.enter()
    expect(page.locator("#status")).to_contain_text("Ledger verified")
    obstacle = service.site.data / "tlog" / ".tmp"
    with service.site.sealer.locked():
        obstacle.write_bytes(b"")  # where a sealer has its unfinished files
    deliver(service.site, [wazuh("late", host="late", rule="77", data={})])
    page.goto(f"{service.base}/closed")
    expect(page.locator("#closed-live").get_by_role("alert")).to_contain_text("nothing is closed, no action starts")
    page.goto(f"{service.base}/ledger")
    expect(page.locator("#ledger-state")).to_contain_text("not sealed in time")
    obstacle.unlink()
    expect(page.locator("#status")).to_contain_text("Ledger verified")
    expect(page.locator("#ledger-state")).not_to_contain_text("not sealed in time")


def test_keys_alone_find_an_entry_and_its_proof_convinces_a_stranger(service: Service) -> None:
    page = service.enter()
    page.goto(f"{service.base}/ledger?kind=case.disposed")
    index = service.newest(Kind.CASE_DISPOSED)
    expect(page.locator("#ledger-list tbody tr")).to_have_count(1)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/ledger/{index}")
    assert page.evaluate("() => document.querySelectorAll('img').length") == 0
    expect(page.locator("#entry-place")).to_contain_text("sealed and verified")
    with page.expect_download() as proof:
        page.get_by_role("link", name="Download proof").click()
    with page.expect_download() as entry:
        page.get_by_role("link", name="Download entry").click()
    verify_proof(proof.value.path().read_text(), entry.value.path().read_bytes(), [service.site.log_key.vkey])
    page.keyboard.press("j")
    page.wait_for_url(f"**/ledger/{index - 1}")
    page.keyboard.press("k")
    page.wait_for_url(f"**/ledger/{index}")
    page.keyboard.press("Backspace")
    page.wait_for_url(f"{service.base}/ledger")
    page.get_by_label("Index").fill("0")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ledger/0")
    expect(page.locator("h1")).to_have_text("ledger.opened")
    assert service.complaints == []


def test_new_entries_appear_by_themselves_and_the_chosen_row_stays(service: Service) -> None:
    page = service.enter()
    page.goto(f"{service.base}/ledger")
    page.keyboard.press("j")
    page.keyboard.press("j")
    chosen = page.evaluate("() => document.activeElement.getAttribute('href')")
    service.site.commands.stop("endpoint", "drill", "ada")
    expect(page.locator(f"#entry-{service.newest(Kind.AUTONOMY_STOPPED)}")).to_be_visible()
    assert page.evaluate("() => document.activeElement.getAttribute('href')") == chosen


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_no_accessibility_violation_and_no_scrolling_sideways(service: Service, theme: str) -> None:
    page = service.enter(theme=theme, bypass_csp=True)
    decided, disposed = service.newest(Kind.FINDING_DECIDED), service.newest(Kind.CASE_DISPOSED)
    with flipped(bundle(service.site)):
        expect(page.locator("#status")).to_contain_text("Ledger does not verify")  # on a page that listens already
        for path in ("/ledger", "/ledger?since=x&kind=token.", f"/ledger/{decided}", f"/ledger/{disposed}"):
            page.goto(service.base + path)
            expect(page.locator("#status")).to_contain_text("Ledger does not verify")
            found = Axe().run(page, options=WCAG).response["violations"]
            assert [(v["id"], [n["html"][:160] for n in v["nodes"][:3]]) for v in found] == [], path
    page.set_viewport_size({"width": 400, "height": 800})
    for path in ("/ledger", f"/ledger/{decided}"):
        page.goto(service.base + path)
        assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0, path

"""Approvals in Chromium, with a virtual authenticator: a passkey's signature counts, once, and nothing less does."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, CDPSession, Page, expect

from countersign.approving import Approving, by_name
from countersign.bootstrap import Site, open_site
from countersign.model.entries import Kind
from countersign.model.inventory import Criticality
from countersign.store import act
from countersign.store import sessions as held
from countersign.store.engine import writing
from countersign.web.app import create_console
from countersign.web.session import COOKIE, Sessions
from tests import fakes, responding
from tests.browser.conftest import PATIENCE_MS, _serve
from tests.passkey_signing import Authenticator, enrol

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ADA, BEA, CYN = "Ada Lovelace", "Bea Miles", "Cyn Boyd"


class Seat:
    """A person at a browser of their own, with an authenticator that holds their passkey."""

    def __init__(self, page: Page, cdp: CDPSession, authenticator: str, complaints: list[str]) -> None:
        self.page, self.complaints = page, complaints
        self._cdp, self._authenticator = cdp, authenticator

    def verified(self, yes: bool) -> None:
        told = {"authenticatorId": self._authenticator, "isUserVerified": yes}
        self._cdp.send("WebAuthn.setUserVerified", told)

    def approve(self, base: str, number: int, reason: str = "saw the dump tool run") -> None:
        self.page.goto(f"{base}/approvals/{number}")
        self.page.keyboard.press("a")
        self.page.fill("#dialog textarea[name=reason]", reason)
        self.page.click("#dialog button[data-sign]")


class House:
    """A console over a real site, and people before it."""

    def __init__(self, site: Site, approving: Approving, base: str, sessions: Sessions, browser: Browser) -> None:
        self.site, self.approving, self.base, self.sessions, self.browser = site, approving, base, sessions, browser
        self.keys: dict[str, Authenticator] = {}

    def seat(self, name: str, *, roles: tuple[str, ...] = ("approver", "analyst")) -> Seat:
        key = self.keys[name] = enrol(self.site, name, roles=roles)
        context = self.browser.new_context(viewport={"width": 1500, "height": 950})
        context.add_init_script(
            "document.addEventListener('securitypolicyviolation',e=>console.error('CSP '+e.violatedDirective+e.blockedURI))"
        )
        page, complaints = context.new_page(), []
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: complaints.append(str(e)))
        cdp = context.new_cdp_session(page)
        cdp.send("WebAuthn.enable", {"enableUI": False})
        with writing(self.site.engine) as conn:
            token = held.start(conn, act.person(conn, name).id, held.PASSKEY, self.site.clock.now_ms())
        context.add_cookies([{"name": COOKIE, "value": self.sessions.signed(token), "url": self.base}])
        page.goto(f"{self.base}/")
        page.wait_for_selector("#stream[data-state=on]")
        return Seat(page, cdp, _authenticator(cdp, key), complaints)

    def propose(self, case: str, person: str = CYN) -> int:
        return self.approving.propose(case, by_name("isolate_host", ""), person)

    def state(self, number: int) -> str:
        return self.approving.sheet(number).line.state


def _authenticator(cdp: CDPSession, key: Authenticator) -> str:
    """A virtual authenticator that holds the passkey."""
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    made = str(cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"])
    credential = {
        "credentialId": base64.b64encode(key.credential).decode(),
        "isResidentCredential": True,
        "rpId": key.rp_id,
        "privateKey": base64.b64encode(key.pkcs8).decode(),
        "userHandle": base64.b64encode(key.name.encode()).decode(),
        "signCount": 1,
    }
    cdp.send("WebAuthn.addCredential", {"authenticatorId": made, "credential": credential})
    return made


@pytest.fixture
def house(tmp_path: Path, chromium: Browser) -> Iterator[House]:
    site = open_site(fakes.data_directory(tmp_path / "data"))
    sessions, approving = Sessions(site.session_key), Approving(site)
    app = create_console(site, sessions=sessions, clock=site.clock, checkpoint=site.sealer.checkpoint, approvals=approving)
    with _serve(app) as base:
        approving.origin = base.replace("127.0.0.1", "localhost")
        yield House(site, approving, approving.origin, sessions, chromium)
        for context in chromium.contexts:
            context.close()
    site.close()


def test_from_the_case_to_an_approved_action_that_is_not_run(house: House, tmp_path: Path) -> None:
    case = responding.case(house.site)
    asks, signs = house.seat(CYN, roles=("analyst",)), house.seat(ADA)
    page = asks.page
    page.goto(f"{house.base}/cases/{case}")
    page.click("#responses summary")
    page.click("#responses a[data-form]")
    page.click("#dialog button[type=submit]")
    expect(page.locator("#dialog .done")).to_contain_text("waits for approval by others")
    (line,) = house.approving.waiting()
    expect(page.locator("#responses")).to_contain_text("isolate_host")
    other = signs.page
    other.goto(f"{house.base}/approvals")
    expect(other.locator("#approvals")).to_contain_text("isolate_host")
    expect(other.locator("#status")).to_contain_text("1waits for approval")
    assert Axe().run(other).violations_count == 0
    other.screenshot(path=tmp_path / "approvals.png")
    other.keyboard.press("j")
    other.keyboard.press("Enter")
    other.wait_for_url(f"**/approvals/{line.number}")
    for text in ("Cut dc-01 (192.0.2.10) off", "would hit", "Let dc-01 back", line.digest, '"action":"isolate_host"'):
        expect(other.locator("main")).to_contain_text(text)
    assert Axe().run(other).violations_count == 0
    other.keyboard.press("a")
    other.fill("#dialog textarea[name=reason]", "saw the dump tool run")
    other.screenshot(path=tmp_path / "approve.png")
    other.click("#dialog button[data-sign]")
    expect(other.locator("#dialog .done")).to_contain_text("approved, not run")
    expect(other.locator("#approval-live")).to_contain_text("Approved, not run: responses are not switched on here.")
    other.screenshot(path=tmp_path / "approved.png")
    assert (house.state(line.number), asks.complaints, signs.complaints) == ("approved", [], [])
    entry = fakes.entries(house.site.engine, Kind.PROPOSAL_APPROVED)[0]
    assert entry.body["webauthn"]["signature"]
    fakes.assert_rebuilds(house.site)
    fakes.verified(house.site)


def test_what_does_not_count_is_said_and_writes_nothing(house: House) -> None:
    case = responding.case(house.site)
    asks, signs = house.seat(CYN), house.seat(ADA)
    number = house.propose(case)
    problem = "#dialog .problem:not([hidden])"
    asks.page.goto(f"{house.base}/approvals/{number}")
    expect(asks.page.locator("#approval-live .acts")).to_have_text("Withdraw x")
    asks.page.goto(f"{house.base}/approvals/{number}/approve")
    asks.page.fill("textarea[name=reason]", "mine")
    asks.page.click("button[data-sign]")
    expect(asks.page.locator(".problem:not([hidden])")).to_contain_text("The requester never approves")
    signs.verified(False)
    signs.approve(house.base, number)
    expect(signs.page.locator(problem)).to_contain_text("Nothing was signed")
    signs.verified(True)
    here, house.approving.origin = house.approving.origin, "http://localhost:1"
    signs.approve(house.base, number)
    expect(signs.page.locator(problem)).to_contain_text("made at another address")
    house.approving.origin = here
    assert signs.page.input_value("#dialog textarea[name=reason]") == "saw the dump tool run"
    assert house.state(number) == "waiting"
    assert fakes.entries(house.site.engine, Kind.PROPOSAL_APPROVED) == []
    signs.approve(house.base, number)
    expect(signs.page.locator("#dialog .done")).to_contain_text("approved, not run")


def test_a_form_left_open_approves_nothing_once_the_target_is_critical(house: House) -> None:
    case = responding.case(house.site)
    signs = house.seat(ADA)
    number = house.propose(case)
    signs.page.goto(f"{house.base}/approvals/{number}")
    signs.page.keyboard.press("a")
    signs.page.fill("#dialog textarea[name=reason]", "saw it")
    responding.inventory(house.site, Criticality.CRITICAL)
    signs.page.click("#dialog button[data-sign]")
    expect(signs.page.locator("#dialog .problem:not([hidden])")).to_contain_text("outdated")
    assert house.state(number) == "outdated"
    expect(signs.page.locator("#approval-live")).to_contain_text("A target changed since it was proposed")


def test_two_people_for_a_critical_target_and_a_denial(house: House) -> None:
    case = responding.case(house.site, Criticality.CRITICAL)
    first, second = house.seat(ADA), house.seat(BEA)
    number = house.propose(case)
    first.approve(house.base, number)
    expect(first.page.locator("#dialog .done")).to_contain_text("more people are needed")
    expect(first.page.locator("#approval-live")).to_contain_text("Approved once already: 1 more person needed")
    first.approve(house.base, number)
    expect(first.page.locator("#dialog .problem:not([hidden])")).to_contain_text("has answered before")
    second.approve(house.base, number)
    expect(second.page.locator("#dialog .done")).to_contain_text("approved, not run")
    again = house.propose(case)
    second.page.goto(f"{house.base}/approvals/{again}")
    second.page.keyboard.press("x")
    second.page.fill("#dialog textarea[name=reason]", "a decoy")
    second.page.click("#dialog button[type=submit]")
    expect(second.page.locator("#approval-live")).to_contain_text("Denied. Nothing was done")
    assert house.state(again) == "denied"

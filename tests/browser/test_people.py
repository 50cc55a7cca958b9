"""People come in with passkeys, in a real browser with a virtual authenticator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from countersign.bootstrap import Site, open_site
from countersign.config import Oidc
from countersign.model.entries import Kind
from countersign.store import accounts, casework, enrolments, passkeys
from countersign.store.engine import reading, writing
from countersign.web.app import create_console
from countersign.web.directory import Directory
from countersign.web.session import COOKIE, Sessions
from tests.browser.conftest import PATIENCE_MS, _serve
from tests.browser.site import WallClock
from tests.fakes import assert_rebuilds, data_directory, deliver, entries, wazuh
from tests.oidc_provider import SECRET, installed, provider
from tests.ports import free_port

pytestmark = pytest.mark.browser
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


@dataclass
class Moved:
    """The wall clock, and whatever a test adds."""

    ahead_ms: int = 0

    def now_ms(self) -> int:
        return WallClock().now_ms() + self.ahead_ms


@dataclass
class House:
    """A real site with its console at localhost."""

    site: Site
    sessions: Sessions
    base: str
    browser: Browser
    clock: Moved
    complaints: list[str] = field(default_factory=list)

    def invite(self, name: str, role: str) -> str:
        """Address of a one-time link."""
        with writing(self.site.engine) as conn:
            who, now_ms = casework.person(conn, name), self.clock.now_ms()
            accounts.grant(conn, who.id, [role], who, now_ms)
            return f"{self.base}/enrol?t={enrolments.issue(conn, who.id, enrolments.Kind.INVITE, who, now_ms)}"

    def first(self) -> str:
        with writing(self.site.engine) as conn:
            who = casework.person(conn, "ada")
            token = enrolments.issue(conn, who.id, enrolments.Kind.FIRST, who, self.clock.now_ms())
        return f"{self.base}/enrol?t={token}"

    def visitor(self, *, verifies: bool = True, theme: str = "dark", axe: bool = False) -> Visitor:
        context = self.browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=theme, bypass_csp=axe)  # type: ignore[arg-type]
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda m: self.complaints.append(m.text) if "Content Security" in m.text else None)
        page.on("pageerror", lambda e: self.complaints.append(str(e)))
        return Visitor(page, verifies=verifies)


class Visitor:
    """A person with a browser and an authenticator of their own."""

    def __init__(self, page: Page, *, verifies: bool) -> None:
        self.page = page
        self.cdp = page.context.new_cdp_session(page)
        self.cdp.send("WebAuthn.enable", {"enableUI": False})
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": verifies,
            "automaticPresenceSimulation": True,
        }
        self.authenticator = self.cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]

    def credentials(self) -> list[dict[str, Any]]:
        found = self.cdp.send("WebAuthn.getCredentials", {"authenticatorId": self.authenticator})
        return list(found["credentials"])

    def use(self, credential: dict[str, Any]) -> None:
        """Put a credential of another authenticator into this one: a clone."""
        self.cdp.send("WebAuthn.addCredential", {"authenticatorId": self.authenticator, "credential": credential})

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def said(self) -> str:
        self.page.wait_for_selector(".said.wrong")
        return self.page.locator(".said.wrong").inner_text()


@pytest.fixture
def house(tmp_path: Path, chromium: Browser) -> Iterator[House]:
    clock = Moved()
    site = open_site(data_directory(tmp_path / "data"), clock=clock)
    deliver(site, [wazuh("1", level=10), wazuh("2", host="b", rule="9")])
    sessions = Sessions(site.session_key)
    app = create_console(site, sessions=sessions, clock=clock, checkpoint=site.sealer.checkpoint)
    with _serve(app) as base:
        found = House(site, sessions, base.replace("127.0.0.1", "localhost"), chromium, clock)
        yield found
        for context in chromium.contexts:
            context.close()
    site.close()
    assert found.complaints == []


def test_the_first_person_enrols_and_signs_in_again(house: House) -> None:
    ada = house.visitor()
    link = house.first()
    ada.page.goto(link)
    assert "trusted on first use" in ada.page.inner_text("main")
    ada.page.get_by_label("Name of this device").fill("Laptop")
    ada.press("Register a passkey")
    ada.page.wait_for_url(f"{house.base}/")
    cookie = next(one for one in ada.page.context.cookies() if one["name"] == COOKIE)
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")

    ada.page.goto(f"{house.base}/account")
    shown = ada.page.inner_text("main")
    for text in ("ada", "approver", "admin", "lead", "Laptop", "this one", "only approver"):
        assert text in shown, text
    ada.press("Sign out")
    ada.page.wait_for_url(f"{house.base}/sign-in")
    assert ada.page.goto(f"{house.base}/").status == 401  # type: ignore[union-attr]
    ada.page.goto(f"{house.base}/sign-in")
    ada.press("Use a passkey")
    ada.page.wait_for_url(f"{house.base}/")

    with reading(house.site.engine) as conn:
        who = next(one for one in accounts.accounts(conn) if one.name == "ada")
        (key,) = passkeys.active(conn, who.person)
    assert who.roles == ("admin", "approver", "lead")
    assert (key.rp_id, key.verified, key.name) == ("localhost", 1, "Laptop")
    assert key.sign_count > 0
    kinds = [entry.kind for entry in entries(house.site.engine)][-6:]
    assert kinds == [
        Kind.PERSON_INVITED,
        Kind.ROLE_GRANTED,
        Kind.PASSKEY_ENROLLED,
        Kind.PERSON_SIGNED_IN,
        Kind.PERSON_SIGNED_OUT,
        Kind.PERSON_SIGNED_IN,
    ]
    assert_rebuilds(house.site)

    again = house.visitor()
    again.page.goto(link)
    assert "has been used, or is too old" in again.page.inner_text("main")


def test_who_is_not_first_is_not_trusted(house: House) -> None:
    first, late = house.first(), house.visitor()
    ada = house.visitor()
    with writing(house.site.engine) as conn:  # while the link lies about, somebody else is enrolled
        grace = casework.person(conn, "grace")
        accounts.grant(conn, grace.id, ["approver"], grace, house.clock.now_ms())
    late.page.goto(first)
    assert "Somebody is enrolled already" in late.page.inner_text("main")
    ada.page.goto(house.invite("bea", "analyst"))
    assert "trusted on first use" not in ada.page.inner_text("main")
    ada.press("Register a passkey")
    ada.page.wait_for_url(f"{house.base}/")
    ada.page.goto(f"{house.base}/account")
    assert "approve what others ask for" in ada.page.get_by_text("You may not").locator("+ dd").inner_text()


def test_an_unverified_user_an_old_link_and_a_clone_are_refused(house: House) -> None:
    nobody = house.visitor(verifies=False)
    nobody.page.goto(house.invite("bea", "viewer"))
    nobody.press("Register a passkey")
    assert "did not confirm" in nobody.said()

    link = house.invite("cyn", "viewer")
    cyn, thief = house.visitor(), house.visitor()
    cyn.page.goto(link)
    thief.page.goto(link)
    cyn.press("Register a passkey")
    cyn.page.wait_for_url(f"{house.base}/")
    thief.press("Register a passkey")
    assert "has been used, or is too old" in thief.said()

    (copied,) = cyn.credentials()
    for _ in range(2):
        cyn.page.goto(f"{house.base}/account")
        cyn.press("Sign out")
        cyn.press("Use a passkey")
        cyn.page.wait_for_url(f"{house.base}/")
    clone = house.visitor()
    clone.use(copied)
    clone.page.goto(f"{house.base}/sign-in")
    clone.press("Use a passkey")
    assert "signature does not hold" in clone.said()

    house.clock.ahead_ms += enrolments.INVITE_MS
    old = house.visitor()
    old.page.goto(house.invite("dora", "viewer"))
    house.clock.ahead_ms += enrolments.INVITE_MS
    old.press("Register a passkey")
    assert "has been used, or is too old" in old.said()


def test_further_passkeys_removal_and_sign_out_everywhere(house: House) -> None:
    ada, phone = house.visitor(), house.visitor()
    ada.page.goto(house.first())
    ada.press("Register a passkey")
    ada.page.wait_for_url(f"{house.base}/")
    phone.use(ada.credentials()[0])

    ada.page.goto(f"{house.base}/account")
    ada.cdp.send("WebAuthn.clearCredentials", {"authenticatorId": ada.authenticator})  # another device of hers
    ada.page.get_by_label("Name of a further device").fill("Key")
    ada.press("Add a passkey")
    ada.page.wait_for_function("() => document.querySelectorAll('form[action$=remove]').length === 2")
    phone.page.goto(f"{house.base}/sign-in")
    phone.press("Use a passkey")
    phone.page.wait_for_url(f"{house.base}/")

    ada.page.goto(f"{house.base}/account")
    assert "2 open sessions" in ada.page.inner_text("main")
    ada.press("Sign out everywhere")
    ada.page.wait_for_url(f"{house.base}/sign-in")
    assert phone.page.goto(f"{house.base}/").status == 401  # type: ignore[union-attr]

    ada.press("Use a passkey")
    ada.page.wait_for_url(f"{house.base}/")
    ada.page.goto(f"{house.base}/account")
    ada.page.locator("form[action$=remove] button").first.click()
    ada.page.wait_for_function("() => document.querySelectorAll('form[action$=remove]').length === 0")  # the last one stays
    phone.page.goto(f"{house.base}/sign-in")
    phone.press("Use a passkey")
    assert "does not open this site" in phone.said()

    house.clock.ahead_ms += 11 * 60_000
    ada.page.goto(f"{house.base}/account")
    assert ada.page.get_by_role("button", name="Add a passkey").count() == 0
    assert "within ten minutes" in ada.page.inner_text("main")


def test_a_bare_address_says_where_passkeys_work(house: House) -> None:
    visitor = house.visitor()
    port = urlsplit(house.base).port
    visitor.page.goto(f"http://127.0.0.1:{port}/")
    visitor.page.get_by_role("link", name="sign in with a passkey at localhost").click()
    visitor.page.wait_for_url(re.compile(r"//localhost:\d+/sign-in"))
    assert visitor.page.get_by_role("button", name="Use a passkey").is_enabled()


def test_through_the_directory_and_out_of_both(tmp_path: Path, chromium: Browser, request: pytest.FixtureRequest) -> None:
    """From another site back to ours: the strict cookie must be there at once, under the policy that blocks scripts."""
    assert request.config.cache is not None
    cache, port = installed(request.config.cache.mkdir("node-oidc")), free_port()
    (tmp_path / "secret").write_text(SECRET)
    config = Oidc(f"http://127.0.0.1:{port}", "countersign", f"file:{tmp_path}/secret", roles={"soc-analysts": "analyst"})
    site = open_site(data_directory(tmp_path / "data"), clock=Moved())
    app = create_console(site, sessions=Sessions(site.session_key), clock=site.clock, directory=Directory(config))
    with _serve(app) as bare, provider(cache, bare.replace("127.0.0.1", "localhost"), port=port):
        base = bare.replace("127.0.0.1", "localhost")
        page = chromium.new_context().new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{base}/sign-in")
        page.get_by_role("link", name="Continue with 127.0.0.1").click()
        page.locator("[name=login]").fill("ada")
        page.locator("[name=password]").fill("any")
        page.locator("button[type=submit]").click()
        page.get_by_role("button", name="Continue").click()
        page.wait_for_url(f"{base}/")
        assert "Needs you" in page.inner_text("body")
        page.goto(f"{base}/account")
        assert "through the directory" in page.inner_text("main")
        page.get_by_role("button", name="Sign out", exact=True).click()
        page.wait_for_url(re.compile(r"/session/end"))
        page.get_by_role("button", name=re.compile("sign me out", re.IGNORECASE)).click()
        page.wait_for_url(re.compile(re.escape(f"{base}/sign-in")))
        assert page.goto(f"{base}/").status == 401  # type: ignore[union-attr]
        page.context.close()
    site.close()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_pages_pass_axe(house: House, theme: str) -> None:
    ada = house.visitor(theme=theme, axe=True)
    ada.page.goto(f"{house.base}/sign-in")
    found = {"sign-in": violations(ada.page)}
    ada.page.goto(house.first())
    found["enrol"] = violations(ada.page)
    ada.press("Register a passkey")
    ada.page.wait_for_url(f"{house.base}/")
    ada.page.goto(f"{house.base}/account")
    found["account"] = violations(ada.page)
    assert found == {"sign-in": [], "enrol": [], "account": []}


def violations(page: Page) -> list[str]:
    found = Axe().run(page, options=WCAG).response["violations"]
    return [f"{one['id']}: {[node['html'][:120] for node in one['nodes']]}" for one in found]

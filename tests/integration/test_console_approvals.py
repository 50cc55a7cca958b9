"""The console's approvals without a browser: who may, and that a click alone approves nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from countersign.approving import Approving, by_name
from countersign.bootstrap import Site, open_site
from countersign.config import Approvals, Thresholds
from countersign.impact import Impact
from countersign.model.entries import Kind
from countersign.model.matters import Ceremony, Pressed
from countersign.store import act, ledger
from countersign.store import sessions as held
from countersign.store.engine import reading, writing
from countersign.web.app import create_console
from countersign.web.session import COOKIE, Sessions
from tests import earned, fakes, responding
from tests.browser.client import Client
from tests.passkey_signing import Authenticator, enrol

SAME = {"sec-fetch-site": "same-origin"}


class Desk:
    """A console over a site with a proposal of Cyn's, and whoever signs in."""

    def __init__(self, site: Site) -> None:
        self.site, self.approving, self.sessions = site, Approving(site), Sessions(site.session_key)
        self.case = responding.case(site)
        self.number = self.approving.propose(self.case, by_name("isolate_host", ""), "Cyn")
        self.app = create_console(site, sessions=self.sessions, clock=site.clock, approvals=self.approving)

    def enter(self, name: str, how: str = held.PASSKEY) -> Client:
        with writing(self.site.engine) as conn:
            token = held.start(conn, act.person(conn, name).id, how, self.site.clock.now_ms())
        client = Client(self.app)
        client.cookies.set(COOKIE, self.sessions.signed(token))
        return client

    def person(self, name: str, *roles: str) -> tuple[Client, Authenticator]:
        key = enrol(self.site, name, roles=roles)
        return self.enter(name), key

    def form(self, key: Authenticator, name: str) -> dict[str, str]:
        pressed = key.press(self.approving.ceremony(self.number, name))
        return {field: getattr(pressed, field) for field in Pressed.__struct_fields__}

    def size(self) -> int:
        with reading(self.site.engine) as conn:
            return ledger.size(conn)


@pytest.fixture
def desk(site: Site) -> Desk:
    return Desk(site)


def refused(desk: Desk, client: Client, code: int, words: str, path: str = "approve", **form: Any) -> None:
    """The write is refused in these words, and nothing is written."""
    before = desk.size()
    answer = client.post(f"/approvals/{desk.number}/{path}", headers=SAME, data={"reason": "seen it"} | form)
    assert (answer.status_code, desk.size()) == (code, before), answer.text
    assert words in answer.text
    assert desk.approving.sheet(desk.number).line.state == "waiting"


def test_a_click_alone_approves_nothing(desk: Desk) -> None:
    client, key = desk.person("Ada", "approver")
    refused(desk, client, 422, "Nothing was signed")
    refused(desk, client, 422, "Give a reason", reason=" ", **desk.form(key, "Ada"))
    refused(desk, client, 409, "answers no question", **(desk.form(key, "Ada") | {"nonce": "0" * 52}))
    get = client.get(f"/approvals/{desk.number}/approve?reason=seen&signature=x")
    assert get.status_code == 200
    cross = client.post(
        f"/approvals/{desk.number}/approve", headers={"sec-fetch-site": "cross-site"}, data=desk.form(key, "Ada")
    )
    assert cross.status_code == 403
    done = client.post(
        f"/approvals/{desk.number}/approve", headers=SAME, data={"reason": "seen it", **desk.form(key, "Ada")}
    )
    assert done.status_code == 303
    assert "Approved, not run" in client.get(f"/approvals/{desk.number}").text


@pytest.mark.parametrize("roles", [("viewer",), ("analyst",), ("lead", "admin")])
def test_only_the_entitlement_opens_the_door(desk: Desk, roles: tuple[str, ...]) -> None:
    client, key = desk.person("Vic", *roles)
    for path in ("approve", "deny"):
        refused(desk, client, 403, "the right to approve", path, **desk.form(key, "Vic"))
    assert client.get(f"/approvals/{desk.number}/ceremony").status_code == 403
    page = client.get(f"/approvals/{desk.number}").text
    assert "You may read this, not answer it" in page
    assert f"/approvals/{desk.number}/approve" not in page


def test_the_printed_link_never_approves_though_its_person_could(desk: Desk) -> None:
    _, key = desk.person("Ada", "approver")
    refused(desk, desk.enter("Ada", held.LINK), 403, "Sign in with a passkey", **desk.form(key, "Ada"))


def test_whoever_asked_may_take_it_back_and_nobody_else(desk: Desk) -> None:
    other, _ = desk.person("Ann", "analyst", "approver")
    refused(desk, other, 409, "omebody else asked for this", "withdraw")
    mine, _ = desk.person("Cyn", "analyst")
    answer = mine.post(f"/approvals/{desk.number}/withdraw", headers=SAME, data={"reason": "thought again"})
    assert answer.status_code == 303
    assert desk.approving.sheet(desk.number).line.state == "denied"


def test_an_analyst_proposes_from_the_case_and_a_viewer_does_not(desk: Desk) -> None:
    desk.approving.deny(desk.number, "Cyn", "again")
    viewer, _ = desk.person("Vic", "viewer")
    assert "/propose?draft=" not in viewer.get(f"/cases/{desk.case}").text
    client, _ = desk.person("Ann", "analyst")
    found = re.search(r"/propose\?draft=(\w{64})", client.get(f"/cases/{desk.case}").text)
    assert found is not None
    assert viewer.post(f"/cases/{desk.case}/propose", headers=SAME, data={"draft": found[1]}).status_code == 403
    wrong = client.post(f"/cases/{desk.case}/propose", headers=SAME, data={"draft": "0" * 64})
    assert (wrong.status_code, "has changed" in wrong.text) == (409, True)
    assert client.post(f"/cases/{desk.case}/propose", headers=SAME, data={"draft": found[1]}).status_code == 303
    (line,) = desk.approving.waiting()
    assert (line.asked_by, line.what, line.about) == ("Ann", "isolate_host", "dc-01")


def test_a_console_that_was_handed_nothing_says_so(desk: Desk) -> None:
    desk.app = create_console(desk.site, sessions=desk.sessions, clock=desk.site.clock)
    client, _ = desk.person("Ada", "approver")
    answer = client.get("/approvals")
    assert (answer.status_code, "not open in this console" in answer.text) == (503, True)
    assert client.get(f"/cases/{desk.case}").status_code == 200


def test_numbers_that_are_none_are_not_found(desk: Desk) -> None:
    client, _ = desk.person("Ada", "approver")
    for number in ("999999", "x", "9" * 40, "-1"):
        assert client.get(f"/approvals/{number}").status_code == 404


@pytest.mark.slow
def test_a_scope_is_promoted_by_a_passkey_in_the_console(tmp_path: Path) -> None:
    site = open_site(fakes.data_directory(tmp_path / "data"), clock=fakes.StepClock())
    earned.live_through(site)
    number = Impact(site).promotion(earned.SCOPE)
    key, approving = enrol(site, "Ada"), Approving(site)
    sessions = Sessions(site.session_key)
    client = Client(create_console(site, sessions=sessions, clock=site.clock, approvals=approving))
    with writing(site.engine) as conn:
        token = held.start(conn, act.person(conn, "Ada").id, held.PASSKEY, site.clock.now_ms())
    client.cookies.set(COOKIE, sessions.signed(token))
    page = client.get(f"/approvals/{number}").text
    assert "rests on certificate_unats" in page
    asked = client.get(f"/approvals/{number}/ceremony").json()
    pressed = key.press(Ceremony(**asked))
    form = {field: getattr(pressed, field) for field in Pressed.__struct_fields__}
    done = client.post(f"/approvals/{number}/approve", headers=SAME, data={"reason": "the bound holds", **form})
    assert done.status_code == 303
    assert fakes.entries(site.engine, Kind.AUTONOMY_PROMOTED)[-1].body["after"] == "supervised"
    assert "Approved and made, in one step" in client.get(f"/approvals/{number}").text
    fakes.assert_rebuilds(site)
    fakes.verified(site)
    site.close()


def test_a_card_says_how_many_people_and_how_long_the_site_asks_for(site: Site) -> None:
    site.config = replace(
        site.config, approvals=Approvals(expiry_minutes=90, actions={"isolate_host": Thresholds(approve=3)})
    )
    desk = Desk(site)
    desk.approving.deny(desk.number, "Cyn", "withdrawn")
    client, _ = desk.person("Ada", "analyst")
    page = client.get(f"/cases/{desk.case}").text
    assert "3 different people, none of them the requester" in page
    assert "1h 30m after it is proposed" in page
    (draft,) = re.findall(r"propose\?draft=([0-9a-f]{64})", page)
    form = client.get(f"/cases/{desk.case}/propose?draft={draft}").text
    assert "3 different people, none of them the requester; so not you, within 1h 30m" in form
    line = desk.approving.sheet(desk.approving.propose_draft(desk.case, draft, "Ada")).line
    left_ms = line.expires_ms - site.clock.now_ms()
    assert (line.people, round(left_ms / 60_000)) == (3, 90), "as the card said"

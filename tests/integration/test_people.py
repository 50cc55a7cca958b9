"""Roles, invitations, sessions and tokens over the store, on both databases: what opens more is signed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from countersign.api.server import create_app
from countersign.approvals import sshsig
from countersign.approvals.change import message
from countersign.authority.limits import Limit
from countersign.authority.passkey import Made
from countersign.authority.roles import Right
from countersign.bootstrap import Site
from countersign.errors import ConflictError, CountersignError, NotFoundError, RefusedError, UsageError
from countersign.impact import Impact
from countersign.model.entries import Kind
from countersign.store import accounts, casework, enrolments, passkeys, sessions, tokens
from countersign.store import tables_people as tp
from countersign.store.changes import Answer
from countersign.store.engine import reading, writing
from countersign.web.session import COOKIE, Sessions
from tests.browser.client import Client
from tests.fakes import assert_rebuilds, entries, verified
from tests.ssh_signing import make, sign

HOUR_MS = 3_600_000
SAME = {"sec-fetch-site": "same-origin"}


class People:
    """A site with an SSH approver, and ways to do what people do."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.impact = Impact(site)
        self.key = make("ssh-ed25519", "people ada")
        self._made = 0

    def enrol(self) -> None:
        self.impact.enrol("ada", sshsig.parse_key(self.key.public))

    def sign(self, number: int | None) -> None:
        assert number is not None
        digest = self.impact.waiting(number).digest
        self.impact.approve(number, Answer("ada", sign(self.key, message(digest)), "known to me"))

    def passkey(self, name: str) -> str:
        self._made += 1
        made = Made(self._made.to_bytes(16, "big"), b"cose", 0, "localhost")
        with writing(self.site.engine) as conn:
            who = casework.person(conn, name)
            passkeys.enrol(conn, who.id, made, "", who, self.site.clock.now_ms(), "link")
        return passkeys.b64(made.credential_id)

    def roles(self, name: str) -> tuple[str, ...]:
        with writing(self.site.engine) as conn:
            return accounts.roles(conn, casework.person(conn, name).id)

    def link(self, token: str, later_ms: int = 0) -> enrolments.Link:
        with reading(self.site.engine) as conn:
            return enrolments.find(conn, token, self.site.clock.now_ms() + later_ms)


@pytest.fixture
def people(site: Site) -> People:
    return People(site)


def test_before_anybody_is_enrolled_roles_are_given_at_once(people: People) -> None:
    assert people.impact.grant("bea", "lead") is None
    assert people.roles("bea") == ("lead",)
    token, number = people.impact.invite("cyn", "approver")
    assert number is None
    assert people.link(token).kind is enrolments.Kind.FIRST
    with pytest.raises(RefusedError):
        people.link(token, enrolments.FIRST_MS)
    people.enrol()
    with pytest.raises(RefusedError, match="enrolled already"):
        people.link(token)


@pytest.mark.parametrize("role", ["lead", "admin", "approver"])
def test_what_opens_more_waits_for_a_signature(people: People, role: str) -> None:
    people.enrol()
    token, _ = people.impact.invite("bea", "analyst")
    with pytest.raises(ConflictError, match="no passkey"):
        people.impact.grant("bea", role)
    with pytest.raises(ConflictError, match="approvers sign"):
        people.impact.invite("dora", role)
    people.passkey("bea")
    number = people.impact.grant("bea", role)
    assert people.roles("bea") == ("analyst",)
    with pytest.raises(ConflictError, match="requester"):
        people.impact.approve(number or 0, Answer("bea", "", "me"))
    people.sign(number)
    assert people.roles("bea") == tuple(sorted(("analyst", role)))
    granted = entries(people.site.engine, Kind.ROLE_GRANTED)[-1]
    assert (granted.body["roles"], granted.body["change"]) == ([role], number)
    with pytest.raises(RefusedError):  # the link of before would now enrol a device with this power
        people.link(token)
    assert_rebuilds(people.site)
    verified(people.site)


def test_a_grant_is_for_the_passkeys_that_were_there(people: People) -> None:
    people.enrol()
    people.impact.invite("bea", "viewer")
    people.passkey("bea")
    number = people.impact.grant("bea", "approver")
    people.passkey("bea")  # somebody else's device under her name
    with pytest.raises(ConflictError, match="passkeys are others"):
        people.sign(number)
    assert people.roles("bea") == ("viewer",)


def test_an_ssh_approver_gets_no_approving_passkey_by_an_invitation(people: People) -> None:
    people.enrol()
    people.impact.invite("ada", "viewer")
    people.passkey("ada")
    assert people.roles("ada") == ("viewer",)


def test_a_lost_passkey_of_somebody_with_power_needs_a_signature(people: People) -> None:
    people.impact.grant("bea", "lead")
    people.enrol()
    token, number = people.impact.invite("bea", "viewer")
    with pytest.raises(RefusedError, match="has been used"):
        people.link(token)
    people.sign(number)
    assert people.link(token).kind is enrolments.Kind.SIGNED


def test_revoking_takes_everything_and_the_last_approver_stays(people: People) -> None:
    people.enrol()
    people.impact.invite("bea", "analyst")
    people.passkey("bea")
    people.sign(people.impact.grant("bea", "approver"))
    token = people.site.commands.issue_api_token("hers", ["api:read"], 30, person="bea")
    now_ms = people.site.clock.now_ms()
    with writing(people.site.engine) as conn:
        bea = casework.person(conn, "bea").id
        sessions.start(conn, bea, sessions.PASSKEY, now_ms)
        assert tokens.bearer(conn, token, now_ms) is not None
    assert people.impact.revoke("bea", "left") == 1
    with reading(people.site.engine) as conn:
        assert (accounts.roles(conn, bea), accounts.state(conn, bea)) == ((), "revoked")
        assert passkeys.active(conn, bea) == ()
        assert sessions.of(conn, bea, now_ms) == ()
        assert tokens.bearer(conn, token, now_ms) is None
    with pytest.raises(ConflictError, match="last approver"):
        people.impact.revoke("ada", "left")
    with pytest.raises(NotFoundError):
        people.impact.revoke("nobody", "left")
    assert people.impact.revoke("ada", "left", last=True) == 1
    with reading(people.site.engine) as conn:
        assert not accounts.nobody_yet(conn)
    assert_rebuilds(people.site)


def test_sessions_end_when_idle_and_in_any_case(site: Site) -> None:
    start_ms = site.clock.now_ms()
    with writing(site.engine) as conn:
        ada = casework.person(conn, "ada")
        accounts.grant(conn, ada.id, ["analyst"], ada, start_ms)
        token = sessions.start(conn, ada.id, sessions.PASSKEY, start_ms)
        found = sessions.who(conn, token, start_ms + sessions.IDLE_MS - 1)
        assert found is not None
        assert Right.WORK in found.rights
        assert Right.ADMINISTER not in found.rights
        assert sessions.who(conn, token, start_ms + sessions.IDLE_MS) is None
        for hour in range(1, 12):
            sessions.touch(conn, sessions.digest(token), start_ms + hour * HOUR_MS)
        assert sessions.who(conn, token, start_ms + sessions.SESSION_MS - 1) is not None
        assert sessions.who(conn, token, start_ms + sessions.SESSION_MS) is None
        assert sessions.who(conn, token + "x", start_ms) is None
        kept = conn.execute(select(tp.sessions.c.hash)).scalars().all()
    assert token not in kept


def test_the_printed_link_opens_all_but_approving(site: Site) -> None:
    now_ms = site.clock.now_ms()
    with writing(site.engine) as conn:
        ada = casework.person(conn, "ada")
        accounts.grant(conn, ada.id, ["approver"], ada, now_ms)
        found = sessions.who(conn, sessions.start(conn, ada.id, sessions.LINK, now_ms), now_ms)
    assert found is not None
    assert Right.APPROVE not in found.rights
    assert {Right.WORK, Right.STEER, Right.ADMINISTER} <= found.rights


def test_a_persons_token_falls_with_their_roles(site: Site) -> None:
    with writing(site.engine) as conn:
        ada = casework.person(conn, "ada")
        accounts.grant(conn, ada.id, ["viewer"], ada, site.clock.now_ms())
    token = site.commands.issue_api_token("hers", ["cases:read"], 1, person="ada")
    client = Client(create_app(site, Sessions(site.session_key), worker=False))
    bearer = {"authorization": f"Bearer {token}"}
    assert client.get("/api/v1/cases", headers=bearer).status_code == 200
    refused = client.get("/api/v1/ledger/entries", headers=bearer)
    assert (refused.status_code, refused.headers["content-type"]) == (403, "application/problem+json")
    with writing(site.engine) as conn:
        accounts.take(conn, ada.id, ["viewer"], ada, site.clock.now_ms())
    assert client.get("/api/v1/cases", headers=bearer).status_code == 401


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda c: c.issue_api_token("x", ["everything"], 1), "unknown scope"),
        (lambda c: c.issue_api_token("x", [], 1), "unknown scope"),
        (lambda c: c.issue_api_token("", ["api:read"], 1), "printable"),
        (lambda c: c.issue_api_token("x", ["api:read"], 1, person="nobody"), "no account"),
        (lambda c: c.revoke_tokens("none", "why"), "no token"),
        (lambda c: c.revoke_tokens("x", " "), "reason"),
    ],
)
def test_wrong_use_is_said_and_leaves_nothing(site: Site, wrong: Callable[..., object], words: str) -> None:
    before = len(entries(site.engine))
    with pytest.raises((UsageError, NotFoundError, CountersignError), match=words):
        wrong(site.commands)
    assert len(entries(site.engine)) == before


def test_an_address_that_guesses_waits_and_then_goes_on(site: Site) -> None:
    client = Client(create_app(site, Sessions(site.session_key), worker=False))
    answers = [client.post("/sign-in/passkey", data={"credential": "{}"}, headers=SAME) for _ in range(21)]
    assert [answer.status_code for answer in answers] == [401] * 20 + [429]
    assert int(answers[-1].headers["retry-after"]) > 200
    assert client.get("/enter?t=guess").status_code == 429
    assert client.get("/sign-in").status_code == 200


def test_a_limit_slides() -> None:
    limit = Limit(3, 1000)
    for at_ms in (0, 10, 20):
        assert limit.wait_ms("a", at_ms) == 0
        limit.failed("a", at_ms)
    assert limit.wait_ms("a", 20) == 980
    assert limit.wait_ms("b", 20) == 0
    assert limit.wait_ms("a", 1000) == 0
    limit.failed("a", 1000)
    assert limit.wait_ms("a", 1001) == 9
    limit.passed("a")
    assert limit.wait_ms("a", 1001) == 0


def test_cookies_are_secure_off_this_machine(site: Site) -> None:
    sessions_ = Sessions(site.session_key)
    client = Client(create_app(site, sessions_, worker=False))
    for host, secure in (("localhost:8440", False), ("127.0.0.1", False), ("soc.example.org", True)):
        token = sessions_.link_token("ada", site.clock.now_ms())
        cookie = client.get(f"/enter?t={token}", headers={"host": host}).headers["set-cookie"]
        assert ("; secure" in cookie.lower()) == secure
        assert "httponly" in cookie.lower()
        client.cookies.delete(COOKIE)


def test_planted_secrets_show_nowhere(people: People, capfd: pytest.CaptureFixture[str]) -> None:
    people.enrol()
    site = people.site
    link, _ = people.impact.invite("bea", "viewer")
    token = site.commands.issue_api_token("probe", ["sources:read"], 1)
    with writing(site.engine) as conn:
        session = sessions.start(conn, casework.person(conn, "bea").id, sessions.PASSKEY, site.clock.now_ms())
    keeper = Sessions(site.session_key)
    client = Client(create_app(site, keeper, worker=False))
    form = {"t": link, "credential": '{"rawId":"AA","response":{"clientDataJSON":"AA"}}'}
    bearer = {"authorization": f"Bearer {token}"}
    client.cookies.set(COOKIE, keeper.signed(session))
    answers = [
        client.get("/api/v1/cases", headers=bearer),
        client.get("/api/v1/sources", headers=bearer),
        client.get(f"/api/v1/sources?limit={token}", headers=bearer),
        client.post("/enrol", data=form, headers=SAME),
        client.post("/enrol", data={**form, "credential": link}, headers=SAME),
        client.post("/enrol/options", data=form, headers={**SAME, "host": "localhost:8440"}),
        client.get(f"/nowhere/{'x' * 10}"),
        *(client.get(path) for path in ("/account", "/ledger", "/", "/sources")),
    ]
    kept = "".join(str(entry) for entry in entries(site.engine))
    shown = "".join(answer.text for answer in answers) + kept + "".join(capfd.readouterr())
    for secret in (link, token, session):
        assert secret not in shown
    for digest in (enrolments.digest(link), tokens.digest(token)):
        assert digest in kept  # which is what the ledger holds in their place

"""Sign-in through a directory: against the real npm provider, and against one that forges."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from countersign.api.server import create_app
from countersign.bootstrap import Site, open_site
from countersign.config import FILE
from countersign.model.entries import Kind
from countersign.store import accounts, casework, sessions
from countersign.store.engine import reading, writing
from countersign.web.session import COOKIE, Sessions
from tests.browser.client import Client
from tests.fakes import assert_rebuilds, entries
from tests.oidc_provider import SECRET, provider, sign_in_there

CONSOLE = "http://localhost"
BACK = f"{CONSOLE}/sign-in/oidc/callback"
SAME = {"sec-fetch-site": "same-origin"}


@dataclass
class Moved:
    """The wall clock, and whatever a test adds."""

    ahead_ms: int = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms


@pytest.fixture(scope="module")
def issuer(request: pytest.FixtureRequest) -> Iterator[str]:
    cache = request.config.cache
    assert cache is not None
    with provider(cache.mkdir("node-oidc"), CONSOLE) as found:
        yield found


class House:
    """A service that signs people in at the provider."""

    def __init__(self, folder: Path, issuer: str, more: str = "") -> None:
        folder.mkdir(mode=0o700)
        (folder / "secret").write_text(SECRET + "\n")
        (folder / FILE).write_text(
            f'[oidc]\nissuer = "{issuer}"\nclient_id = "countersign"\nclient_secret = "file:{folder}/secret"\n'
            f'name = "Harbour"\n{more}[oidc.roles]\nsoc-analysts = "analyst"\nsoc-leads = "lead"\n'
        )
        self.clock = Moved()
        self.site: Site = open_site(folder, clock=self.clock)
        self.app = create_app(self.site, Sessions(self.site.session_key), worker=False)

    def begin(self, client: Client) -> str:
        answer = client.get("/sign-in/oidc")
        assert answer.status_code == 303
        return str(answer.headers["location"])

    def come(self, login: str, client: Client | None = None) -> tuple[Client, httpx.Response]:
        client = client or Client(self.app)
        back = sign_in_there(self.begin(client), login, BACK)
        return client, client.get(back.removeprefix(CONSOLE), headers={"sec-fetch-site": "cross-site"})

    def roles(self, name: str) -> tuple[str, ...]:
        with reading(self.site.engine) as conn:
            return next((one.roles for one in accounts.accounts(conn) if one.name == name), ())


@pytest.fixture
def house(tmp_path: Path, issuer: str) -> Iterator[House]:
    found = House(tmp_path / "data", issuer)
    yield found
    found.site.close()


def test_sign_in_gives_the_roles_of_the_groups(house: House) -> None:
    stranger = Client(house.app)
    assert "Continue with Harbour" in stranger.get("/sign-in").text
    sent = parse_qs(urlsplit(house.begin(stranger)).query)
    assert (sent["code_challenge_method"], sent["response_type"]) == (["S256"], ["code"])
    client, arrived = house.come("ada")
    assert arrived.status_code == 200, arrived.text
    assert "You are signed in" in arrived.text
    cookie = next(text for text in arrived.headers.get_list("set-cookie") if text.startswith(COOKIE)).lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/").status_code == 200
    assert house.roles("ada") == ("analyst",)
    assert client.post("/quarantine/1/resubmit", headers=SAME).status_code == 403
    lead, _ = house.come("lee")
    assert lead.post("/quarantine/1/resubmit", headers=SAME).status_code == 404
    assert_rebuilds(house.site)


def test_groups_are_followed_both_ways_and_none_means_nothing(house: House) -> None:
    house.come("ada")
    with writing(house.site.engine) as conn:  # as if her groups had been others yesterday
        ada = casework.person(conn, "ada")
        accounts.grant(conn, ada.id, ["lead", "admin"], ada, house.clock.now_ms(), source=accounts.OIDC)
    house.come("ada")
    assert house.roles("ada") == ("analyst",)
    client, refused = house.come("nobody")
    assert refused.status_code == 401
    assert "groups open nothing here" in refused.text
    assert client.get("/").status_code == 401


def test_a_name_that_is_taken_is_not_handed_over(house: House) -> None:
    house.come("ada")
    _, refused = house.come("evil:ada")
    assert refused.status_code == 401
    assert "of somebody else" in refused.text
    assert house.roles("ada") == ("analyst",)


def test_forged_mixed_and_repeated_answers_are_refused(house: House) -> None:
    client = Client(house.app)
    back = sign_in_there(house.begin(client), "ada", BACK).removeprefix(CONSOLE)
    sent = parse_qs(urlsplit(back).query)
    code, state = sent["code"][0], sent["state"][0]
    other = ("y" if state[0] != "y" else "x") + state[1:]
    assert client.get(f"/sign-in/oidc/callback?code={code}&state={other}").status_code == 401
    assert client.get(f"/sign-in/oidc/callback?code={code}").status_code == 401
    assert client.get("/sign-in/oidc/callback?error=access_denied&state=x").status_code == 401
    assert Client(house.app).get(back).status_code == 401  # another browser: somebody was lured into our sign-in
    second = parse_qs(urlsplit(house.begin(client)).query)["state"][0]
    mixed = client.get(f"/sign-in/oidc/callback?code={code}&state={second}")  # another attempt's code: PKCE does not fit
    assert (mixed.status_code, "did not accept" in mixed.text) == (401, True)
    assert entries(house.site.engine, Kind.PERSON_SIGNED_IN) == []
    good, arrived = house.come("ada")
    assert arrived.status_code == 200
    assert good.get(str(arrived.request.url).removeprefix(CONSOLE)).status_code == 401  # once


def test_a_token_that_has_expired_is_refused(house: House) -> None:
    house.clock.ahead_ms = 2 * 3_600_000
    client, refused = house.come("ada")
    assert refused.status_code == 401
    assert "token does not hold" in refused.text
    assert client.get("/").status_code == 401


def test_sign_out_ends_both_sessions(house: House, issuer: str) -> None:
    client, _ = house.come("ada")
    left = client.post("/account/sign-out", headers=SAME)
    assert left.status_code == 200
    address = left.text.partition("url=")[2].partition('"')[0].replace("&amp;", "&")
    assert address.startswith(f"{issuer}/session/end?id_token_hint=")
    assert "post_logout_redirect_uri=http%3A%2F%2Flocalhost%2Fsign-in" in address
    there = httpx.get(address)
    assert there.status_code == 200
    assert "sign-out" in there.text.lower() or "log" in there.text.lower()
    assert client.get("/").status_code == 401


def test_approvers_are_asked_for_more(tmp_path: Path, issuer: str) -> None:
    house = House(tmp_path / "strict", issuer, "approver_max_age_s = 600\n")
    house.come("ada")
    with writing(house.site.engine) as conn:
        ada = casework.person(conn, "ada")
        accounts.grant(conn, ada.id, ["approver"], ada, house.clock.now_ms())
    client, again = house.come("ada")
    assert again.status_code == 303
    asked = again.headers["location"]
    assert parse_qs(urlsplit(asked).query)["max_age"] == ["600"]
    back = sign_in_there(asked, "ada", BACK)
    assert client.get(back.removeprefix(CONSOLE)).status_code == 200
    assert client.get("/").status_code == 200
    house.site.close()


def test_the_directory_never_makes_an_approver(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / FILE).write_text('[oidc.roles]\nbosses = "approver"\n')
    with pytest.raises(Exception, match="approver"):
        open_site(folder)


def test_no_secret_shows_anywhere(house: House, capfd: pytest.CaptureFixture[str]) -> None:
    client, arrived = house.come("ada")
    cookie = client.cookies.get(COOKIE) or ""
    session = cookie.partition(".")[0]
    assert len(session) > 40
    with reading(house.site.engine) as conn:
        ada = next(one.person for one in accounts.accounts(conn) if one.name == "ada")
        hints = [one.hint for one in sessions.of(conn, ada, house.clock.now_ms())]
    bad = client.get("/sign-in/oidc/callback?code=planted-code-77aa&state=planted-state-77bb")
    pages = [arrived.text, bad.text, *(client.get(path).text for path in ("/", "/account", "/ledger", "/nowhere"))]
    written = "".join(str(entry) for entry in entries(house.site.engine))
    shown = "".join(pages) + written + "".join(capfd.readouterr())
    for secret in (SECRET, session, "planted-code-77aa", "planted-state-77bb", *hints):
        assert secret
        assert secret not in shown

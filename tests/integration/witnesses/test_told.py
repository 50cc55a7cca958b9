"""What witnesses say of a log reaches whoever operates it, at every door."""

from __future__ import annotations

import html
import shutil

import pytest
from starlette.testclient import TestClient

from countersign.api.server import create_app
from countersign.approving import Approving
from countersign.bootstrap import Site, open_site
from countersign.config import FILE
from countersign.store.witnesses import TRIES_TOLD
from countersign.web.session import COOKIE, Sessions
from countersign.witnessing import Witnesses
from tests.fakes import StepClock
from tests.witnesses import SAID, Liar, Pair, command, cosign, grow, lying, more

pytestmark = pytest.mark.xdist_group("witnesses")  # they share two servers


def doors(site: Site) -> dict[str, str]:
    """What an operator is told without signing in, on the console's pages, and by commands."""
    cookie = {"cookie": f"{COOKIE}={Sessions(site.session_key, site.engine).cookie('ada', site.clock.now_ms())}"}
    served = create_app(site, Sessions(site.session_key), worker=False, approvals=Approving(site))
    with TestClient(served, base_url="http://localhost") as client:
        found = {page: client.get(page, headers=cookie).text for page in ("/", "/ledger", "/approvals")}
        found |= {page: client.get(page).text for page in ("/readyz", "/metrics")}
    for words in (("queue",), ("approvals",), ("autonomy", "status")):
        found[words[0]] = command(*words, "--data", site.data)[2]
    return found | {"doctor": command("doctor", "--json", "--data", site.data)[1]}


@pytest.mark.parametrize(("quorum", "follows"), [(2, "no action starts until"), (0, "actions start all the same")])
def test_every_door_tells_an_alarm_and_it_ends_when_the_right_log_is_back(
    sqlite_pair: Pair, quorum: int, follows: str
) -> None:
    data, old = sqlite_pair.data, sqlite_pair.data.with_name("old")
    (data / FILE).write_text((data / FILE).read_text().replace("quorum = 2", f"quorum = {quorum}"))
    grow(data, 1)
    shutil.copytree(data, old)
    grow(data, 1)
    assert cosign(data).why == ""
    cosign(old)
    site = open_site(old)
    told = doors(site)
    assert "countersign_witness_alarms 2" in told.pop("/metrics")
    for door, text in told.items():
        assert "rolled back" in text, door
        assert follows in text, door
        assert "countersign ledger status" in text, door
    assert "Ledger does not verify" not in told["/"], "that is another thing"
    assert command("doctor", "--data", old)[0] == 1
    site.close()
    right = open_site(data)
    told = doors(right)
    assert told["/readyz"] == "ready\n"
    assert not any("rolled back" in text for name, text in told.items() if name != "/metrics")
    right.close()


def test_a_witness_that_does_not_cosign_is_told_when_it_lasts(sqlite_pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    site = open_site(sqlite_pair.data, clock=StepClock())
    monkeypatch.setattr(Liar, "answer", SAID["key"][0])
    with lying() as url:
        site.witnesses = (site.witnesses[0]._replace(url=url), site.witnesses[1])
        for tries in range(1, TRIES_TOLD + 1):
            more(site)
            Witnesses(site).ask(at_once=True)
            told = doors(site)
            assert ("1 witnesses do not cosign" in told.pop("/readyz")) is (tries == TRIES_TOLD)
            assert ("countersign_witness_refusals 1" in told.pop("/metrics")) is (tries == TRIES_TOLD)
            assert SAID["key"][1] in told.pop("doctor"), "the quorum is missing from the first try on"
            for door, text in told.items():
                assert (SAID["key"][1] in html.unescape(text)) is (tries == TRIES_TOLD), (door, tries)
    site.close()

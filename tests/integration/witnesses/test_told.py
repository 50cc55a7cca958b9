"""What witnesses say of a log reaches whoever operates it, at every door."""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from countersign.api.server import Worker, create_app
from countersign.approving import Approving
from countersign.bootstrap import Site, open_site
from countersign.config import FILE
from countersign.store.witnesses import TRIES_TOLD
from countersign.telling import configured, work_off
from countersign.web.session import COOKIE, Sessions
from countersign.witnessing import Witnesses, status
from tests.fakes import StepClock
from tests.hearing import Web, heard
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


@pytest.fixture
def web() -> Iterator[Web]:
    with heard() as made:
        yield made


def told(data: Path, web: Web) -> None:
    """Have a site send its messages there."""
    (data / "hook").write_text(f"{web.url}/hook\n")
    with (data / FILE).open("a", encoding="utf-8") as file:
        file.write(f'\n[notify.webhook]\nurl = "file:{data / "hook"}"\n')


def test_people_are_told_of_an_alarm_once_and_when_it_is_over(pair: Pair, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    told(pair.data, web)
    site = open_site(pair.data, clock=StepClock())
    size, honest = site.sealer.seal().size, site.witnesses
    monkeypatch.setattr(Liar, "answer", SAID["a fork"][0])
    with lying() as url:
        for url_2 in (honest[1].url, url, url):  # the second one joins in later
            site.witnesses = (honest[0]._replace(url=url), honest[1]._replace(url=url_2))
            Witnesses(site).ask(at_once=True)
    for _ in range(2):
        site.witnesses = honest
        Witnesses(site).ask(at_once=True)
    work_off(site, configured(site))
    site.close()
    said = [json.loads(body) for _, _, body in web.heard]
    assert [(one["event"], one["what"], one["number"], one["case"]) for one in said] == [
        ("witness_alarm", "w1", size, ""),
        ("witness_alarm", "w2", size, ""),
        ("witness_well", "w1, w2", size, ""),
    ]
    assert len({one["id"] for one in said}) == 3
    assert "refuses this log" in said[0]["text"]
    assert said[0]["link"].endswith("/ledger")


def test_a_service_over_a_restored_backup_tells_people_by_itself(sqlite_pair: Pair, web: Web) -> None:
    data, old = sqlite_pair.data, sqlite_pair.data.with_name("old")
    grow(data, 1)
    told(data, web)
    shutil.copytree(data, old)
    grow(data, 1)
    assert cosign(data).why == ""
    site = open_site(old)
    working = Worker(site)
    working.start()
    assert web.hears(1)
    working.stop()
    assert status(site).why
    site.close()
    (said,) = [json.loads(body) for _, _, body in web.heard]
    assert (said["event"], said["what"]) == ("witness_alarm", "w1, w2")

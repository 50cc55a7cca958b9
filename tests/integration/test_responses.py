"""From the front door: an alert leads to a suggested response on the case page and in the terminal, and nothing runs."""

from __future__ import annotations

import json
import re

import pytest

from countersign.actions import ACTIONS
from countersign.actions.suggest import Suggestion
from countersign.bootstrap import Site
from countersign.model.inventory import Asset, Criticality, Inventory
from countersign.store import inventory, read, read_case
from countersign.store.engine import reading
from countersign.web.app import create_console
from countersign.web.session import COOKIE, Sessions
from tests.browser.client import Client
from tests.fakes import count, deliver, responses, run, run_json, wazuh

HOSTILE = '"><script>alert(1)</script>\u202e'

CHAIN = (("T1003.001", "Credential Access"), ("T1021", "Lateral Movement"), ("T1059", "Execution"), ("T1486", "Impact"))
"""Each has a line in the table that ends in isolating the host, so any finding that is not called benign will do."""


@pytest.fixture
def suggested(site: Site) -> tuple[str, Suggestion]:
    """A case with a host of the inventory under a technique with a line in the table."""
    site.commands.import_inventory(Inventory((Asset("dc-01", "", "", Criticality.CRITICAL),), ()), "test")
    alerts = []
    for number, (technique, tactic) in enumerate(CHAIN):
        alert = json.loads(
            wazuh(f"a{number}", host="dc-01", rule=f"9{number}", level=15, title=HOSTILE, data={"note": HOSTILE})
        )
        alert["rule"]["mitre"] = {"id": [technique], "tactic": [tactic], "technique": [HOSTILE]}
        alerts.append(json.dumps(alert).encode())
    deliver(site, alerts)
    with reading(site.engine) as conn:
        (row,) = read.queue(conn, tab=read.Tab.ALL).rows
        found = responses(row.id, read_case.records(conn, row), inventory.load(conn))
    assert [(s.proposal.action, s.target, s.people) for s in found] == [("isolate_host", "dc-01", 2)]
    return row.id, found[0]


def test_the_case_page_shows_it_and_says_that_nothing_runs(site: Site, suggested: tuple[str, Suggestion]) -> None:
    case, one = suggested
    sessions = Sessions(site.session_key)
    client = Client(create_console(site, sessions=sessions, clock=site.clock))
    client.cookies.set(COOKIE, sessions.cookie("analyst", site.clock.now_ms()))
    before = count(site.engine, "entries")
    page = client.get(f"/cases/{case}").text
    card = re.search(r'<section class="panel" id="responses".*?</section>', page, re.DOTALL)
    assert card is not None
    for text in ("Isolate host", "dc-01", "two different people", one.digest[:12], "Let dc-01 back"):
        assert text in card[0], text
    assert "Nothing runs here: no response is switched on, and an approved one stays approved" in card[0]
    assert "<form" not in card[0]
    assert "<button" not in card[0]
    assert "script>alert" not in page
    assert count(site.engine, "entries") == before


def test_the_terminal_shows_it_too(site: Site, suggested: tuple[str, Suggestion]) -> None:
    case, one = suggested
    shown = run("case", "show", case, "--data", site.data).stdout.decode()
    assert "Suggested responses" in shown
    assert one.digest[:12] in shown
    assert "Nothing runs here: no response is switched on, and an approved one stays approved." in shown


def test_the_registry_is_listed_and_every_line_says_that_it_does_not_run() -> None:
    rows = run_json("actions")
    assert [row["name"] for row in rows] == list(ACTIONS)
    assert {row["runs"] for row in rows} == {False}
    done = run("actions")
    assert done.stdout.decode().count("off: a plan") == len(ACTIONS)
    assert b"Nothing runs here" in done.stderr

"""Keys lead to the case that has their findings now, and to nothing once people closed it."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy import select

from countersign.bootstrap import Site
from countersign.correlate.link import HUB_FINDINGS_MAX
from countersign.store import read
from countersign.store import tables as t
from countersign.store.engine import reading
from tests import fakes
from tests.fakes import NOON_MS, deliver, wazuh

_serial = itertools.count()


def alert(site: Site, host: str, *users: str, minute: int = 0, level: int = 10) -> str:
    """Deliver one alert, a notable one by its level; returns the case that it went to."""
    number = next(_serial)
    data = dict(zip(("dstuser", "srcuser"), users, strict=False))
    at_ms = NOON_MS + minute * 60_000
    deliver(site, [wazuh(f"{number}", rule=f"{number}", level=level, host=host, data=data, at_ms=at_ms)])
    with reading(site.engine) as conn:
        return str(conn.execute(select(t.findings.c.case_id).where(t.findings.c.rule == f"{number}")).scalar_one())


def found(site: Site, words: str) -> list[str]:
    with reading(site.engine) as conn:
        return [row.id for row in read.queue(conn, query=words, tab=read.Tab.ALL).rows]


def merged_into(site: Site) -> dict[str, str]:
    c = t.cases.c
    with reading(site.engine) as conn:
        return dict(conn.execute(select(c.id, c.merged_into).where(c.merged_into != "")).all())


@pytest.fixture
def chain(site: Site) -> tuple[Site, list[str]]:
    """Three cases; the youngest became part of the second, and that one of the oldest."""
    cases = [alert(site, "a", "ann"), alert(site, "b", "ben"), alert(site, "c", "cleo")]
    assert len(set(cases)) == 3
    assert alert(site, "d", "ben", "cleo") == cases[1]
    assert alert(site, "e", "ann", "ben") == cases[0]
    return site, cases


def test_a_key_of_a_merged_case_leads_to_the_one_that_has_its_findings(chain: tuple[Site, list[str]]) -> None:
    site, cases = chain
    assert merged_into(site) == {cases[2]: cases[0], cases[1]: cases[0]}
    assert alert(site, "f", "cleo", minute=1) == cases[0]
    assert alert(site, "c", minute=2) == cases[0], "seen last in the youngest case"
    for words in ("user:cleo", "host:b", "ann"):
        assert found(site, words) == [cases[0]]
    fakes.assert_rebuilds(site)


def test_a_closed_case_is_found_by_its_entities_and_attracts_nothing(chain: tuple[Site, list[str]]) -> None:
    site, cases = chain
    site.commands.dispose(cases[0], "benign", "a drill", "ada")
    assert found(site, "user:cleo") == [cases[0]]
    other = alert(site, "c", "cleo", minute=1)
    assert other not in cases
    assert alert(site, "a", minute=2) not in {*cases, other}
    fakes.assert_rebuilds(site)


def test_a_case_that_was_reopened_attracts_again(chain: tuple[Site, list[str]]) -> None:
    site, cases = chain
    site.commands.dispose(cases[0], "benign", "a drill", "ada")
    site.commands.reopen(cases[0], "it was none", "ada")
    assert alert(site, "f", "cleo", minute=1) == cases[0]
    fakes.assert_rebuilds(site)


def test_what_was_infrastructure_ties_again_once_its_case_is_closed(site: Site) -> None:
    many = range(HUB_FINDINGS_MAX + 3)
    deliver(site, [wazuh(f"h{i}", rule=f"h{i}", level=10, host="busy", data={}, at_ms=NOON_MS + i) for i in many])
    with reading(site.engine) as conn:
        first = set(conn.execute(select(t.cases.c.id)).scalars())
    assert len(first) == 3, "a host in too many findings ties nothing any more"
    for case in first:
        site.commands.dispose(case, "benign", "a drill", "ada")
    assert len({alert(site, "busy", minute=1) for _ in range(3)}) == 1
    fakes.assert_rebuilds(site)


def test_every_case_is_found_by_what_is_in_it(site: Site) -> None:
    """However small the alert, whoever closed its case, and whichever case has the address today."""
    cases = []
    for minute, level in ((0, 3), (2_000, 10), (4_000, 3), (6_000, 10), (8_000, 3)):
        cases.append(alert(site, f"h{minute}", "Zoë" if minute else "ZOË", minute=minute, level=level))
        if minute < 6_000:
            site.commands.dispose(cases[-1], "benign", "a drill", "ada")
    assert len(set(cases)) == 5
    for words in ("zoë", "USER:ZOË"):
        assert sorted(found(site, words)) == sorted(cases)
    assert found(site, "zoë h2000") == [cases[1]]
    fakes.assert_rebuilds(site)

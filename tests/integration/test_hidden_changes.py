"""What somebody changes beside the log so that it shows later, or never, is named: counters, registered agents, seeds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from countersign.bootstrap import Site, open_site
from countersign.errors import EnvironmentFault, VerificationError
from countersign.evaluate.replay import replay
from countersign.store import ledger, rebuild
from countersign.store import tables as t
from countersign.store.engine import reading, writing
from tests import fakes
from tests.fakes import deliver, wazuh


def set_back(site: Site) -> None:
    with writing(site.engine) as conn:
        conn.execute(update(t.ledger_head).values(next_case=ledger.FIRST_CASE))


def test_a_case_number_is_never_given_twice(site: Site) -> None:
    deliver(site, [wazuh(ident="one")])
    with reading(site.engine) as conn:
        (case,) = conn.execute(select(t.cases.c.id)).scalars()
    site.commands.dispose(case, "benign", "known")
    set_back(site)
    with pytest.raises(EnvironmentFault, match="number of case C-1001 is given already"):
        deliver(site, [wazuh(host="elsewhere", rule="99", ident="two", data={"srcip": "198.51.100.7"})])
    with writing(site.engine) as conn:
        before = rebuild.digests(conn)
        rebuild.rebuild(conn)
        after = rebuild.digests(conn)
    assert [name for name in before if before[name] != after[name]] == ["ledger_head: next case"]
    site.hot_path.drain()
    with reading(site.engine) as conn:
        assert set(conn.execute(select(t.cases.c.id)).scalars()) == {"C-1001", "C-1002"}
        assert conn.execute(select(t.cases.c.status).where(t.cases.c.id == "C-1002")).scalar() == "open"
    fakes.assert_rebuilds(site)


def test_comparing_opens_nothing_that_would_set_a_change_right(tmp_path: Path) -> None:
    data = tmp_path / "data"
    site = open_site(data)
    site.seal()
    with writing(site.engine) as conn:
        conn.execute(update(t.agents).where(t.agents.c.name == "triage").values(purpose="something else"))
        size = ledger.size(conn)
    for _ in range(2):
        said = fakes.run("rebuild", "--check", "--json", "--data", data)
        assert (said.returncode, json.loads(said.stdout)["differing"]) == (1, ["agents"])
    with reading(site.engine) as conn:
        assert ledger.size(conn) == size
    site.close()


@pytest.mark.parametrize("seed", [bytes(32), b"\x00"], ids=["another", "short"])
def test_a_seed_that_does_not_open_its_commitment_is_named(site: Site, seed: bytes) -> None:
    deliver(site, [wazuh(ident="one")])
    with writing(site.engine) as conn:
        conn.execute(update(t.seeds).values(seed=seed))
    with reading(site.engine) as conn:
        found = replay(conn)
    assert {problem.kind for problem in found.problems} == {"review.committed"}
    assert {problem.what for problem in found.problems} == {"seed"}


def test_a_head_that_is_gone_is_one_clear_line(site: Site) -> None:
    with writing(site.engine) as conn:
        conn.execute(delete(t.ledger_head))
    with pytest.raises(VerificationError, match="its row was deleted"), writing(site.engine) as conn:
        rebuild.rebuild(conn)

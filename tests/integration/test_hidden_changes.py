"""What somebody changes beside the log so that it shows later, or never, is named: counters, registered agents, seeds,
kinds of evidence, the key table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Executable, delete, select, text, update

from countersign.bootstrap import Site, open_site
from countersign.errors import EnvironmentFault, VerificationError
from countersign.evaluate.replay import replay
from countersign.model.inventory import Asset, Inventory
from countersign.store import ledger, rebuild
from countersign.store import tables as t
from countersign.store.engine import reading, writing
from tests import fakes
from tests.fakes import data_directory, deliver, wazuh


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
    for command in ("doctor", "queue", "autonomy status"):
        done = fakes.run(*command.split(), "--data", site.data)
        assert (done.returncode, done.stderr.count(b"\n")) == (1, 1), command
        assert b"ledger_head: its row was deleted" in done.stderr


def test_an_entry_that_is_no_bytes_any_more_is_named(tmp_path: Path) -> None:
    """SQLite takes any type in any column."""
    site = open_site(data_directory(tmp_path / "data"))
    deliver(site, [wazuh(ident="one")])
    with writing(site.engine) as conn:
        conn.execute(text("UPDATE entries SET bytes = 'no bytes' WHERE idx = 1"))
        conn.execute(text("UPDATE entries SET bytes = 7 WHERE idx = 2"))
    with reading(site.engine) as conn:
        assert {problem.index for problem in replay(conn).problems} >= {1, 2}  # and what rests on them
    with pytest.raises(VerificationError, match="not an entry"), writing(site.engine) as conn:
        rebuild.rebuild(conn)
    site.close()


# --- evidence and the key table


def changed(site: Site, statement: Executable) -> tuple[int, list[str], str]:
    """What ``rebuild --check`` says after a change: exit code, tables that differ, problems."""
    with writing(site.engine) as conn:
        conn.execute(statement)
    done = fakes.run("rebuild", "--check", "--json", "--data", site.data)
    said = json.loads(done.stdout)
    return done.returncode, said["differing"], " | ".join(one["what"] for one in said["problems"])


def met(site: Site) -> None:
    """A case in which a person is named, by a link and by what somebody did."""
    site.commands.import_inventory(Inventory((Asset("b"),), ()), "site.csv")
    deliver(site, [wazuh("1", level=10, data={"dstuser": "ann"}, host="a")])
    deliver(site, [wazuh("2", level=10, data={"dstuser": "ann"}, host="b", rule="2")])
    with reading(site.engine) as conn:
        case = conn.execute(select(t.cases.c.id).limit(1)).scalar_one()
    site.commands.assign(case, "grace", "ada")
    site.seal()
    assert any(link[2].startswith("user~") for one in fakes.entries(site.engine) for link in one.body.get("links", ()))


@pytest.mark.parametrize("kind", ["delivery", "records", "inventory", "policy", "model"])
def test_evidence_under_another_kind_is_named_and_a_rebuild_mends_it(site: Site, kind: str) -> None:
    met(site)
    e = t.evidence.c
    with reading(site.engine) as conn:
        before = conn.execute(select(e.digest, e.kind).order_by(e.digest)).all()
    assert kind in {row.kind for row in before}
    code, differing, _ = changed(site, update(t.evidence).where(e.kind == kind).values(kind="another"))
    assert (code, differing) == (1, ["evidence: kind"])
    with writing(site.engine) as conn:
        rebuild.rebuild(conn)
    with reading(site.engine) as conn:
        assert conn.execute(select(e.digest, e.kind).order_by(e.digest)).all() == before
    assert fakes.run("rebuild", "--check", "--data", site.data).returncode == 0


P = t.pseudonyms.c
ROWS: dict[str, tuple[Executable, str, bool]] = {
    "a person's row deleted": (delete(t.pseudonyms).where(P.value == "person:grace"), "the key table does not know", False),
    "a person's pseudonym changed": (
        update(t.pseudonyms).where(P.value == "person:ada").values(pseudonym="person~0123456789ab"),
        "the key table does not know",
        False,
    ),
    "a user for a person": (
        update(t.pseudonyms).where(P.value == "person:ada").values(value="user:ada"),
        "is a user",
        False,
    ),
    "a user's row deleted": (delete(t.pseudonyms).where(P.value == "user:ann"), "the key table does not know", True),
    "a user's name changed": (update(t.pseudonyms).where(P.value == "user:ann").values(value="user:eve"), "", True),
}


@pytest.mark.parametrize("how", ROWS)
def test_a_key_table_that_leads_elsewhere_is_named(site: Site, how: str) -> None:
    """Names of operators stand in no entry: that one was put in place of another, nobody can say from the record."""
    met(site)
    statement, words, replays_otherwise = ROWS[how]
    code, differing, problems = changed(site, statement)
    assert (bool(code), differing, bool(problems), words in problems) == (bool(words), [], bool(words), True)
    with reading(site.engine) as conn:
        found = replay(conn)
    assert bool(found.problems) is replays_otherwise
    assert {problem.what for problem in found.problems} <= {"links"}
    assert found.left == 0, "it does not pass for an erasure"


def test_an_erasure_of_somebody_whom_no_entry_named_is_no_change(site: Site) -> None:
    deliver(site, [wazuh(ident="one", data={"srcip": "198.51.100.7", "dstuser": "quillfeather"})])
    assert fakes.run_json("erase", "quillfeather", "--yes", "--reason", "asked", "--data", site.data)["entry"] > 0
    assert fakes.run("rebuild", "--check", "--data", site.data).returncode == 0

"""One person is erased: out of every table, every piece of evidence and every file, and the log verifies as before."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, event, select

from countersign.bootstrap import Site
from countersign.errors import EnvironmentFault
from countersign.evaluate.replay import replay
from countersign.ledger.verify import verify
from countersign.model.entries import Kind
from countersign.store import erasing
from countersign.store import inventory as inventory_store
from countersign.store import tables as t
from countersign.store import tables_people as tp
from countersign.store.engine import make_engine, reading, writing
from countersign.store.erasing_who import Wanted
from countersign.store.ledger_rows import LedgerRows
from countersign.store.shredding import shred
from tests import fakes, planted
from tests.fakes import NOON_MS, deliver, wazuh
from tests.planted import HOST, LOGIN2, NAME, OTHER, SQLITE, erased, leave, names_her, naming, raw_files


@pytest.fixture
def lived(site: Site) -> Site:
    return planted.live(site)


def test_a_person_is_gone_everywhere_and_the_log_still_verifies(lived: Site) -> None:
    site = lived
    before = fakes.verified(site)
    assert naming(site), "she was nowhere: the test shows nothing"
    assert raw_files(site)
    with reading(site.engine) as conn:
        her = dict(conn.execute(select(t.pseudonyms.c.value, t.pseudonyms.c.pseudonym)).all())[f"user:{NAME}"]
        cases = conn.execute(select(t.cases.c.id, t.cases.c.status, t.cases.c.findings).order_by(t.cases.c.id)).all()

    shown = fakes.run_json("erase", NAME.upper(), "--data", site.data)
    assert (shown["erased"], shown["entry"], shown["entries"]) == (False, -1, 0)
    assert set(shown["evidence"]) == {"delivery", "records", "inventory"}
    assert {OTHER, HOST} <= set(shown["others"])
    assert {NAME, LOGIN2} <= {name.lower() for name in shown["names"]}
    assert len(naming(site)) > 20, "a dry run changes nothing"

    refused = fakes.run("erase", NAME, "--yes", "--reason", "asked", "--data", site.data)
    assert (refused.returncode, b"may still act here" in refused.stderr) == (2, True), refused.stderr
    leave(site)
    done = fakes.run_json("erase", NAME, "--yes", "--reason", f"{NAME} asked, Art. 17", "--data", site.data)
    assert done["erased"]
    assert naming(site) == []
    assert raw_files(site) == []
    assert done["files"] == []

    report = fakes.verified(site)
    assert report.checked["erased_evidence"] == sum(done["evidence"].values()) - 1  # the pending delivery is in no entry yet
    assert report.size > before.size
    entry = fakes.entries(site.engine, Kind.PERSON_ERASED)[0]
    assert (entry.subject, entry.body["reason"]) == (her, f"{done['token']} asked, Art. 17")
    assert [(one.entry, one.subject) for one in report.erasures] == [(done["entry"], her)]
    fakes.assert_rebuilds(site)
    with reading(site.engine) as conn:
        again = replay(conn)
        after = conn.execute(select(t.cases.c.id, t.cases.c.status, t.cases.c.findings).order_by(t.cases.c.id)).all()
        people_left = {identity.name for identity in inventory_store.load(conn).identities}
        assets = {asset.name: asset.owner for asset in inventory_store.load(conn).assets}
    assert again.problems == ()
    assert again.same == again.replayed
    assert again.same > again.left
    assert after == cases, "cases stay"
    assert people_left == {OTHER}
    assert assets[HOST] == done["token"]
    for table in (tp.sessions, tp.identities, tp.enrolments, tp.passkey_uses):
        assert fakes.count(site.engine, table.name) == 0

    export = fakes.run("case", "export", cases[0].id, "--data", site.data)
    page = fakes.run("case", "show", cases[0].id, "--data", site.data)
    for output in (export, page):
        assert output.returncode == 0, output.stderr
        assert not names_her(output.stdout)
    assert done["token"].encode() in page.stdout

    # she comes back: a new alert gives her a new pseudonym, and what waited in the inbox does not name her
    site.hot_path.drain()
    deliver(
        site, [wazuh("n.1", rule="70", data={"dstuser": NAME}), wazuh("n.2", rule="71", data={"dstuser": NAME}, level=12)]
    )
    deliver(site, [wazuh("n.3", rule="72", data={"dstuser": NAME}, level=12, at_ms=NOON_MS + 1)])
    with reading(site.engine) as conn:
        fresh = dict(conn.execute(select(t.pseudonyms.c.value, t.pseudonyms.c.pseudonym)).all())
    assert fresh[f"user:{NAME}"] != her
    fakes.verified(site)
    fakes.assert_rebuilds(site)

    # and is erased again, so that pieces were replaced twice
    with writing(site.engine) as conn:
        erasing.erase(conn, Wanted((NAME,)), "again", "ada", NOON_MS)
    assert naming(site) == []
    assert len(fakes.verified(site).erasures) == 2
    fakes.assert_rebuilds(site)


@SQLITE
def test_what_an_erasure_does_not_account_for_stays_a_problem(lived: Site) -> None:
    site = lived
    erased(site)
    fakes.verified(site)
    e = t.erased_evidence.c
    with writing(site.engine) as conn:
        one, two = conn.execute(select(e.digest, e.instead).order_by(e.digest).limit(2)).all()
        policy = conn.execute(select(t.evidence.c.digest).where(t.evidence.c.kind == "policy")).scalar_one()
        conn.execute(delete(t.evidence).where(t.evidence.c.digest.in_([one.instead, policy])))
        conn.execute(t.evidence.update().where(t.evidence.c.digest == two.instead).values(digest=two.digest))
    whats = [problem.what for problem in verify(site.tiles, [site.log_key.vkey], record=LedgerRows(site.engine)).problems]
    for part in (
        f"evidence {one.instead}, which entry",
        f"evidence {policy} of entry",
        f"evidence {two.digest} is still there",
    ):
        assert any(part in what for what in whats), (part, whats)


@SQLITE
def test_an_erasure_that_is_not_sealed_yet_counts(lived: Site) -> None:
    lived.seal()
    erased(lived)
    report = verify(lived.tiles, [lived.log_key.vkey], record=LedgerRows(lived.engine))
    assert report.ok, report.problems
    assert report.checked["erased_evidence"] > 0


@SQLITE
def test_nothing_is_half_erased(lived: Site) -> None:
    leave(lived)
    before = naming(lived)
    with writing(lived.engine) as conn:
        erasing.erase(conn, Wanted((NAME,)), "asked", "ada", NOON_MS)
        conn.get_transaction().rollback()  # type: ignore[union-attr]
    assert naming(lived) == before
    fakes.verified(lived)


@SQLITE
def test_a_reader_keeps_old_bytes_in_the_file_until_it_lets_go(lived: Site) -> None:
    erased(lived)
    with reading(lived.engine) as conn:
        conn.execute(select(t.cases.c.id)).all()
        quick = make_engine(str(lived.engine.url))
        event.listen(quick, "connect", lambda raw, _: raw.execute("PRAGMA busy_timeout=1"))
        with pytest.raises(EnvironmentFault, match="old bytes are still in"):
            shred(quick)
        quick.dispose()
    assert raw_files(lived)
    assert fakes.run_json("erase", NAME, "--yes", "--reason", "asked", "--data", lived.data)["entry"] == -1
    assert raw_files(lived) == []

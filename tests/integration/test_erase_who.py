"""Who can be erased and who cannot, what else goes with them, and what of real alerts stays."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from countersign.approvals.proposal import Proposal
from countersign.bootstrap import Site
from countersign.errors import ConflictError, ErasedError, UsageError
from countersign.evaluate.replay import replay
from countersign.ledger.redaction import Redactor
from countersign.model.alerts import Delivery
from countersign.model.entities import EntityType
from countersign.model.entries import Kind
from countersign.model.responses import target_of
from countersign.sources.reader import read_deliveries
from countersign.store import casework, erasing, evidence, inbox, proposals, read_approvals, read_case, recorded
from countersign.store import inventory as inventory_store
from countersign.store import tables as t
from countersign.store.engine import reading, writing
from countersign.store.erasing_who import Wanted
from tests import fakes, planted
from tests.fakes import NOON_MS
from tests.planted import HOST, MAIL, NAME, OTHER, SQLITE, erased, leave, naming


@pytest.fixture
def lived(site: Site) -> Site:
    return planted.live(site)


@SQLITE
def test_who_cannot_be_erased_and_how(lived: Site) -> None:
    def asked(*names: str, by: str = "ada", reason: str = "asked", keep: tuple[str, ...] = ()) -> None:
        with writing(lived.engine) as conn:
            erasing.erase(conn, Wanted(names, keep), reason, by, NOON_MS)

    with pytest.raises(ConflictError, match="may still act"):
        asked(NAME)
    with pytest.raises(ConflictError, match="nobody erases themselves"):
        asked(NAME, by=NAME)
    for names in (("ab",), ("",), ("user:",), ("\udcff",)):
        with pytest.raises(UsageError):
            asked(*names)
    with pytest.raises(UsageError, match="reason"):
        asked(NAME, reason=" ")
    assert fakes.run("erase", NAME, "--yes", "--data", lived.data).returncode == 2
    assert fakes.run_json("erase", "nobody.here", "--yes", "--reason", "x", "--data", lived.data)["entry"] == -1
    assert not fakes.entries(lived.engine, Kind.PERSON_ERASED)

    with reading(lived.engine) as conn:
        assert erasing.look(conn, Wanted((HOST,))).hosts == (HOST,)
    asked(NAME, keep=(f"person:{NAME}",))  # the account of the same name is somebody else's
    with reading(lived.engine) as conn:
        assert set(conn.execute(select(t.pseudonyms.c.value).where(t.pseudonyms.c.value.contains(NAME))).scalars()) == {
            f"person:{NAME}",
            f"user:{OTHER}",
        }
    assert fakes.count(lived.engine, "passkey_uses") == 1


@SQLITE
def test_a_response_about_them(lived: Site) -> None:
    """One under way is in the way; one that has ended goes whole, as people signed its bytes."""
    leave(lived)
    with writing(lived.engine) as conn:
        ada = casework.person(conn, "ada")
        known = inventory_store.load(conn)
        case = conn.execute(select(t.cases.c.id).limit(1)).scalar_one()
        target = next(target_of(one) for one in known.assets if one.name == "web-1")
        plan = f"cut off the host where {NAME} works"
        draft = Proposal("isolate_host", {"minutes": 1}, (target,), case, plan, "let it back", ())
        number = proposals.create(conn, draft, ada, proposals.Terms(), lived.clock.now_ms(), trigger="command")
        blob = conn.execute(select(t.proposals.c.blob)).scalar_one()
    with pytest.raises(ConflictError, match=f"proposal {number}: a response about this person is under way"):
        erased(lived)
    with writing(lived.engine) as conn:
        proposals.deny(conn, number, "ada", "no", lived.clock.now_ms())
    erased(lived)
    assert naming(lived) == []
    fakes.verified(lived)
    fakes.assert_rebuilds(lived)
    with reading(lived.engine) as conn:
        with pytest.raises(ErasedError, match="erased or archived by entry"):
            evidence.get(conn, blob, bytes)
        assert [line.number for line in read_approvals.of_case(conn, case, NOON_MS)] == [number]
    for command in (("approvals",), ("case", "show", case), ("actions", "show", str(number))):
        done = fakes.run(*command, "--data", lived.data)
        assert b"Traceback" not in done.stderr, done.stderr


@SQLITE
def test_what_people_type_enters_the_ledger_under_pseudonyms(lived: Site) -> None:
    disposed = fakes.entries(lived.engine, Kind.CASE_DISPOSED)[0]
    assert NAME not in disposed.body["reason"].lower()
    assert disposed.body["reason"].startswith("user~")
    with reading(lived.engine) as conn:
        row = read_case.case_row(conn, disposed.subject)
        stored = conn.execute(select(t.cases.c.reason).where(t.cases.c.id == disposed.subject)).scalar_one()
    assert row.reason == f"{NAME} works late, says {MAIL}"
    assert stored == disposed.body["reason"]
    for kind in (Kind.INVENTORY_IMPORTED, Kind.AUTONOMY_STOPPED, Kind.ALERT_QUARANTINED):
        for entry in fakes.entries(lived.engine, kind):
            assert NAME not in str(msgspec.to_builtins(entry)).lower()


REAL = [
    ("wazuh-aminer-raw/wazuh_attack_lines.jsonl", "wazuh", ""),
    ("wazuh-aminer-raw/wazuh_no_attack_lines.jsonl", "wazuh", ""),
    ("suricata-eve/wrccdc-2017.jsonl", "suricata", "mozilla"),
]
"""File, source, and the name to erase: of whom most findings speak where it is empty, else a word that stands for one."""


@SQLITE
@pytest.mark.parametrize(("file", "source", "name"), REAL)
def test_real_alerts_lose_one_person_and_nothing_else(
    site: Site, shared_data: Path, file: str, source: str, name: str
) -> None:
    before = list(read_deliveries(shared_data / file, source))
    with writing(site.engine) as conn:
        inbox.accept(conn, before, [], trigger="file", now_ms=NOON_MS)
    site.hot_path.drain()
    lines = [raw for one in before for raw in one.raws]
    name = name or busiest(site)
    redactor = Redactor([name], "erased~000000000000")
    touched = [line for line in lines if redactor.hits(line.decode())]
    assert touched
    with writing(site.engine) as conn:
        found, entry = erasing.erase(conn, Wanted((name,)), "asked", "ada", NOON_MS)
        held = conn.execute(select(t.evidence.c.digest).where(t.evidence.c.kind == "delivery")).scalars().all()
        raws = [raw for digest in held for raw in evidence.get(conn, digest, Delivery).raws]
    assert entry > 0
    assert len(raws) == len(lines)
    keep = Redactor([name], found.token, found.others)
    assert not any(keep.hits(raw.decode()) for raw in raws)
    assert set(lines) - set(touched) <= set(raws)
    fakes.verified(site)
    fakes.assert_rebuilds(site)
    with reading(site.engine) as conn:
        again = replay(conn)
    assert again.problems == ()
    assert again.same > again.left


def busiest(site: Site) -> str:
    """The person of whom most findings speak."""
    with reading(site.engine) as conn:
        every = [outline.finding for _, outline in recorded.every(conn)]
    seen = Counter(
        entity.value
        for finding in every
        for entity in finding.entities
        if entity.type is EntityType.USER and len(entity.value) > 3
    )
    return seen.most_common(1)[0][0]

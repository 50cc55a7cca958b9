"""One person is erased: out of every table, every piece of evidence and every file, and the log verifies as before."""

from __future__ import annotations

import base64
import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import delete, event, select, text

from countersign.approvals.proposal import Proposal
from countersign.bootstrap import Site
from countersign.errors import ConflictError, EnvironmentFault, ErasedError, UsageError
from countersign.evaluate.replay import replay
from countersign.ledger.redaction import Redactor
from countersign.ledger.verify import verify
from countersign.model.alerts import Delivery
from countersign.model.entities import EntityType
from countersign.model.entries import Kind
from countersign.model.inventory import Asset, Criticality, Identity, Inventory
from countersign.model.records import Known
from countersign.model.responses import target_of
from countersign.sources.reader import read_deliveries
from countersign.store import accounts, casework, erasing, evidence, inbox, passkeys, proposals, read_approvals, read_case
from countersign.store import inventory as inventory_store
from countersign.store import tables as t
from countersign.store import tables_people as tp
from countersign.store.engine import make_engine, opened, reading, writing
from countersign.store.erasing_who import Wanted
from countersign.store.evidence import zstd
from countersign.store.ledger_rows import LedgerRows
from countersign.store.shredding import shred
from tests import fakes
from tests.fakes import NOON_MS, deliver, wazuh
from tests.integration.test_rebuild import MAPPING

NAME, LOGIN2 = "zora.quillfeather", "zq-adm77"
MAIL = f"{NAME}@corp.example"
OTHER, HOST = f"an.{NAME}", f"{NAME}-lap"
"""Somebody else, and a host: their names contain hers and are not hers."""
STAYS = (OTHER, HOST)


def planted() -> Iterator[tuple[bytes, str, str]]:
    """(raw alert, source, mapping) with her wherever an alert can name a person."""
    link = f"https://login.evil.example/?u={NAME.replace('.', '%2E')}%40corp.example"
    wide = base64.b64encode(f"net user {NAME} /active:no".encode("utf-16-le")).decode()
    for number, spelt in enumerate((NAME, NAME.upper(), f"CORP\\{NAME.title()}", MAIL, LOGIN2)):
        at_ms = NOON_MS + number * 300_000
        data = {
            "dstuser": spelt,
            "srcuser": OTHER,
            "srcip": "203.0.113.9",
            "url": link,
            "command": f"powershell -enc {wide}",
        }
        yield (
            wazuh(
                f"{number}",
                rule=f"7{number}",
                level=12,
                at_ms=at_ms,
                title=f"Odd sign-in of {spelt}",
                data=data,
                full_log=f'{{"proctitle":"{f"/home/{NAME}/x".encode().hex()}","u":"\\u007aora.quillfeather"}}',
                syscheck={"path": f"/home/{NAME}/x", "uname_after": spelt, "event": "modified"},
            ),
            "wazuh",
            "",
        )
        event = {"when": fakes.stamp(at_ms), "kind": f"k{number % 2}", "text": f"mail to {MAIL}", "who": spelt, "mail": MAIL}
        yield json.dumps(event | {"link": link, "where": "portal", "level": "high"}).encode(), "generic", MAPPING
        yield json.dumps(event | {"link": "", "where": "", "level": "low", "kind": "routine"}).encode(), "generic", MAPPING
    yield wazuh("b.1", rule="9", data={"dstuser": OTHER}, host=HOST, level=10), "wazuh", ""
    yield wazuh("b.2", rule="91", data={"dstuser": OTHER}, host=HOST, level=10), "wazuh", ""
    yield f'{{"rule": {{"id": "1", "level": "{NAME}"}}}}'.encode(), "wazuh", ""


@pytest.fixture
def lived(site: Site) -> Site:
    """A site that knows her from alerts, from the inventory, as one who worked here, and from what people typed."""
    known = Inventory(
        (Asset(HOST, "workstation", NAME, Criticality.LOW), Asset("web-1")),
        (Identity(NAME, "finance", aliases=(MAIL, LOGIN2)), Identity(OTHER, "sales", owner=NAME)),
    )
    site.commands.import_inventory(known, f"{NAME}.csv")
    for raw, source, mapping in planted():
        deliver(site, [raw], source, mapping=mapping)
    with writing(site.engine) as conn:
        cases = list(conn.execute(select(t.cases.c.id).where(t.cases.c.status == "open").order_by(t.cases.c.id)).scalars())
        inbox.accept(
            conn,
            [Delivery("wazuh", f"{NAME}.json", (1,), (wazuh("w", data={"dstuser": NAME}),))],
            [],
            trigger="file",
            now_ms=1,
        )
        her, ada = casework.person(conn, NAME).id, casework.person(conn, "ada")
        accounts.grant(conn, her, ["lead"], ada, NOON_MS)
        passkeys.enrol(
            conn, her, passkeys.Made(b"\1" * 16, b"cose", 1, "localhost", ()), f"{NAME}'s phone", ada, NOON_MS, "link"
        )
    site.commands.assign(cases[0], NAME, NAME)
    site.commands.dispose(cases[0], "benign", f"{NAME.title()} works late, says {MAIL.upper()}", NAME)
    site.commands.stop("identity", f"{OTHER} and {NAME} look into it", "ada")
    return site


def leave(site: Site) -> None:
    """What ``people revoke`` does to an account."""
    with writing(site.engine) as conn:
        accounts.close(conn, casework.person(conn, NAME).id, casework.person(conn, "ada"), NOON_MS, "left")


def naming(site: Site) -> list[str]:
    """Every place of the database that names her outright, with evidence unpacked."""
    with reading(site.engine) as conn:
        found = []
        for table in t.metadata.sorted_tables:
            for row in conn.execute(select(table)).mappings():
                for column, value in row.items():
                    data = value.encode() if isinstance(value, str) else bytes(value) if isinstance(value, bytes) else b""
                    if table is t.evidence and column == "bytes":
                        data = zstd.decompress(data)
                    if names_her(data):
                        found.append(f"{table.name}.{column}: {data[:300]!r}")
        return found


def names_her(data: bytes) -> bool:
    """Whether bytes hold her name as such or as the alerts above encode it."""
    low = data.lower()
    for kept in STAYS:
        low = low.replace(kept.encode(), b"")
    bare = low.replace(b"%2e", b".").replace(b"\\u007a", b"z")
    hexed = NAME.encode().hex().encode()
    wide = base64.b64encode(f"net user {NAME} /active:no".encode("utf-16-le")).lower()
    return any(one in bare for one in (NAME.encode(), LOGIN2.encode(), hexed, wide))


def raw_files(site: Site) -> list[str]:
    """Files that still hold her name: of the data directory and the database in it, or of PostgreSQL's tables."""
    folders = [site.data]
    if site.engine.dialect.name == "sqlite":
        folders.append(Path(site.engine.url.database or "").parent)
    else:
        with opened(site.engine) as conn:
            conn.execute(text("CHECKPOINT"))
            where, oid = conn.execute(
                text("SELECT current_setting('data_directory'), oid FROM pg_database WHERE datname = current_database()")
            ).one()
            folders.append(Path(where) / "base" / str(oid))
    files = [file for one in folders for file in sorted(one.rglob("*")) if file.is_file()]
    return [str(file) for file in files if names_her(content(file))]


def content(file: Path) -> bytes:
    """Bytes of a file, read by another process: closing a database's file here would drop the locks that SQLite holds."""
    return subprocess.run(["cat", str(file)], capture_output=True, check=False).stdout


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
    assert again.same + again.erased == again.replayed
    assert again.same > again.erased
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


def erased(site: Site) -> erasing.Found:
    """Erase her, without the command."""
    leave(site)
    with writing(site.engine) as conn:
        return erasing.erase(conn, Wanted((NAME,)), "asked", "ada", NOON_MS)[0]


SQLITE = pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
"""Where the database makes no difference."""


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
        with pytest.raises(ErasedError, match="erased by entry"):
            evidence.get(conn, blob, bytes)
        assert [line.number for line in read_approvals.of_case(conn, case, NOON_MS)] == [number]
    for command in (("approvals",), ("case", "show", case), ("actions", "show", str(number))):
        done = fakes.run(*command, "--data", lived.data)
        assert b"Traceback" not in done.stderr, done.stderr


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
    assert again.same > again.erased


def busiest(site: Site) -> str:
    """The person of whom most findings speak."""
    with reading(site.engine) as conn:
        known = conn.execute(select(t.findings.c.known)).scalars().all()
    seen = Counter(
        entity.value
        for data in known
        for entity in msgspec.msgpack.decode(data, type=Known).finding.entities
        if entity.type is EntityType.USER and len(entity.value) > 3
    )
    return seen.most_common(1)[0][0]

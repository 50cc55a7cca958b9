"""A person who stands wherever an alert, an inventory or what people type can name one, and whether she still does."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text

from countersign.bootstrap import Site
from countersign.model.alerts import Delivery
from countersign.model.inventory import Asset, Criticality, Identity, Inventory
from countersign.store import accounts, casework, erasing, inbox, passkeys
from countersign.store import tables as t
from countersign.store.engine import opened, reading, writing
from countersign.store.erasing_who import Wanted
from countersign.store.evidence import zstd
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


def live(site: Site) -> Site:
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


def erased(site: Site) -> erasing.Found:
    """Erase her, without the command."""
    leave(site)
    with writing(site.engine) as conn:
        return erasing.erase(conn, Wanted((NAME,)), "asked", "ada", NOON_MS)[0]


SQLITE = pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
"""Where the database makes no difference."""

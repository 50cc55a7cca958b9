"""An account is disabled and enabled from the shell, on real directories: proposed, signed with ``ssh-keygen``'s own keys,
carried out by ``actions run``, tried from outside, and verified."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from countersign.bootstrap import open_site
from countersign.config import FILE
from countersign.model.entries import Kind
from countersign.model.inventory import Asset, Criticality, Identity, Inventory
from countersign.store import read
from countersign.store import tables as t
from countersign.store.engine import reading
from tests import fakes
from tests.directories import PERSON, Place, openldap, samba
from tests.integration.test_propose_cli import _enrol
from tests.ssh_signing import make

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("directories"),
    pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed (package openssh-client)"),
]
ADA, BEA, CYN = "Ada", "Bea", "Cyn"
HELD = [Kind.ACTION_INTENDED, Kind.ACTION_STARTED, Kind.ACTION_PROBED]


@pytest.fixture
def ldap(tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "ol"
    folder.mkdir()
    with openldap(folder) as place:
        yield place


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Place]:
    """A directory without a default password policy."""
    folder = tmp_path / "bare"
    folder.mkdir()
    with openldap(folder, policy=False) as place:
        yield place


@pytest.fixture
def domain(tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "ad"
    folder.mkdir()
    with samba(folder) as place:
        yield place


class Desk:
    """A data directory whose directory is ``place``, a case in which its person acts, and keys of three people."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.folder, self.data, self.place = folder, fakes.data_directory(folder / "data"), place
        secret = folder / "password"
        secret.write_text({"env:SERVICE": "service-pw", "env:ADMIN": "Pa55-word.of.the.Test"}[str(place.table["password"])])
        table = place.table | {"password": f"file:{secret}"}
        with (self.data / FILE).open("a") as file:
            file.write("\n[actions.disable_account]\n")
            file.writelines(f"{name} = {json.dumps(value)}\n" for name, value in table.items())
        site = open_site(self.data)
        for name in (ADA, BEA, CYN):
            (folder / name).touch(mode=0o600)
            (folder / name).write_bytes(make("ssh-ed25519", f"desk {name}").private_file())
            _enrol(site, name)
        hosts = (Asset("dc-01", "directory", "k.curlew", Criticality.HIGH, ("192.0.2.10",)),)
        people = (Identity(PERSON, "clerk", "", Criticality.MEDIUM),)
        site.commands.import_inventory(Inventory(hosts, people), "test")
        fakes.deliver(site, [_alert(n, one) for n, one in enumerate(("T1003.001", "T1078", "T1021", "T1098"))])
        with reading(site.engine) as conn:
            (row,) = read.queue(conn, tab=read.Tab.ALL).rows
        self.case = row.id
        site.close()

    def ok(self, *args: str | Path) -> str:
        done = fakes.run(*args, "--data", self.data)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode() + done.stderr.decode()

    def waiting(self) -> str:
        (one,) = fakes.run_json("approvals", "--data", self.data)
        return str(one["id"])

    def sign(self, number: str, person: str) -> str:
        return self.ok("approve", number, "--person", person, "--reason", "saw it", "--sign-with", self.folder / person)

    def way(self) -> list[Kind]:
        site = open_site(self.data)
        found = [entry.kind for entry in fakes.entries(site.engine) if entry.kind.startswith("action.")]
        site.close()
        return found

    def disable(self) -> str:
        self.ok("propose", self.case, "disable_account", "--person", CYN)
        number = self.waiting()
        self.ok("actions", "run")
        assert self.place.lets_in(), "nobody has signed"
        assert "carried out" in self.sign(number, BEA)
        assert self.place.lets_in(), "signing alone does nothing"
        self.ok("actions", "run")
        return number


def _alert(number: int, technique: str) -> bytes:
    alert = json.loads(fakes.wazuh(f"a{number}", host="dc-01", rule=f"9{number}", level=15, data={"srcuser": PERSON}))
    alert["rule"]["mitre"] = {"id": [technique], "tactic": ["Credential Access"], "technique": ["x"]}
    return json.dumps(alert).encode()


def out_and_back(desk: Desk) -> None:
    assert desk.place.lets_in()
    number = desk.disable()
    assert not desk.place.lets_in()
    shown = desk.ok("actions", "show", number)
    for text in ("probed_ok", "intent written", "started", "probed", "check", "seal", "do", "ms"):
        assert text in shown, shown
    desk.ok("actions", "undo", number, "--person", CYN)
    assert not desk.place.lets_in()
    desk.sign(desk.waiting(), ADA)
    desk.ok("actions", "run")
    assert desk.place.lets_in()
    assert desk.way() == HELD * 2
    desk.ok("verify")
    assert fakes.run_json("rebuild", "--check", "--data", desk.data)["ok"]


def test_openldap(tmp_path: Path, ldap: Place) -> None:
    out_and_back(Desk(tmp_path, ldap))


@pytest.mark.root
def test_samba_active_directory(tmp_path: Path, domain: Place) -> None:
    out_and_back(Desk(tmp_path, domain))


def test_a_lock_that_lets_the_person_in_is_shown_as_not_effective_and_calls_a_person(tmp_path: Path, bare: Place) -> None:
    desk = Desk(tmp_path, bare)
    number = desk.disable()
    assert bare.lets_in(), "the lock was accepted and means nothing"
    assert "not shown to be effective" in desk.ok("actions", "show", number)
    steps = fakes.run_json("actions", "show", number, "--data", desk.data)["steps"]
    assert "no password policy is in force" in steps[-1]["text"]
    site = open_site(desk.data)
    with reading(site.engine) as conn:
        told = conn.execute(select(t.notices.c.event).where(t.notices.c.number == int(number))).scalars().all()
    site.close()
    assert "probed_bad" in told
    assert desk.way() == HELD
    desk.ok("verify")

"""Actions by command line, as a stranger types them, signed by ``ssh-keygen`` itself."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from countersign.approvals import sshsig
from countersign.approvals.change import message
from countersign.bootstrap import Site, open_site
from countersign.impact import Impact
from countersign.model.entries import Kind
from countersign.model.inventory import Criticality
from countersign.store.changes import Answer
from tests import fakes, responding
from tests.ssh_signing import make, sign

NAMES = ("Ada", "Bea", "Cyn")
PERSON_REASON = ("--reason", "saw it")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed (package openssh-client)"),
]


class Desk:
    """A data directory with three approvers whose keys are files, and a case."""

    def __init__(self, folder: Path, criticality: Criticality) -> None:
        self.data, self.keys = fakes.data_directory(folder / "data"), folder
        site = open_site(self.data)
        for name in NAMES:
            key = make("ssh-ed25519", f"desk {name}")
            (folder / name).touch(mode=0o600)
            (folder / name).write_bytes(key.private_file())
            _enrol(site, name)
        self.case = responding.case(site, criticality)
        self.site = site

    def ok(self, *args: str | Path) -> str:
        done = fakes.run(*args, "--data", self.data)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode() + done.stderr.decode()

    def fails(self, words: str, *args: str | Path) -> None:
        done = fakes.run(*args, "--data", self.data)
        said = done.stderr.decode()
        assert (done.returncode in (1, 2), len(said.splitlines())) == (True, 1), said
        assert words in said

    def propose(self, person: str = "Cyn") -> str:
        self.ok("propose", self.case, "isolate_host", "--person", person)
        return str(fakes.run_json("approvals", "--data", self.data)[-1]["id"])

    def signing(self, number: str, person: str, key: str = "") -> tuple[str | Path, ...]:
        return ("approve", number, "--person", person, *PERSON_REASON, "--sign-with", self.keys / (key or person))


def _enrol(site: Site, name: str) -> None:
    impact = Impact(site)
    number = impact.enrol(name, sshsig.parse_key(make("ssh-ed25519", f"desk {name}").public))
    if number is not None:
        signature = sign(make("ssh-ed25519", "desk Ada"), message(impact.waiting(number).digest))
        impact.approve(number, Answer("Ada", signature, "a colleague"))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, Criticality.HIGH)
    yield made
    made.site.close()


@pytest.fixture
def critical(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, Criticality.CRITICAL)
    yield made
    made.site.close()


def test_proposed_shown_signed_once_and_not_run(desk: Desk) -> None:
    number = desk.propose()
    assert "dc-01" in desk.ok("approvals")
    desk.fails("the same waits already", "propose", desk.case, "isolate_host")
    desk.fails("is not suggested", "propose", desk.case, "isolate_host", "--target", "dc-02")
    desk.fails("requester never approves", *desk.signing(number, "Cyn"))
    desk.fails("enrolled for somebody else", *desk.signing(number, "Bea", "Ada"))
    shown = desk.ok(*desk.signing(number, "Bea"))
    for text in ("Cut dc-01 (192.0.2.10) off", "would hit", "Canonical bytes:", "is Cyn", "not run"):
        assert text in shown, text
    desk.fails("approved already", *desk.signing(number, "Ada"))
    assert fakes.run_json("rebuild", "--check", "--data", desk.data)["ok"]
    desk.ok("verify")


def test_a_signature_is_for_one_action(desk: Desk) -> None:
    first = desk.propose()
    (held,) = fakes.run_json("approvals", "--data", desk.data)
    old = desk.keys / "old.sig"
    old.write_text(sign(make("ssh-ed25519", "desk Bea"), held["message"].encode()))
    desk.ok("deny", first, "--person", "Ada", "--reason", "not yet")
    second = desk.propose()
    desk.fails("does not match", "approve", second, "--person", "Bea", *PERSON_REASON, "--signature", old)


def test_a_target_that_became_critical_must_be_proposed_anew_and_then_takes_two(desk: Desk) -> None:
    number = desk.propose()
    responding.inventory(desk.site, Criticality.CRITICAL)
    desk.fails("outdated", *desk.signing(number, "Bea"))
    assert [entry.subject for entry in fakes.entries(desk.site.engine, Kind.PROPOSAL_OUTDATED)] == [number]
    again = desk.propose()
    assert "more people are needed" in desk.ok(*desk.signing(again, "Bea"))


def test_two_people_for_a_critical_target(critical: Desk) -> None:
    number = critical.propose()
    assert "more people are needed" in critical.ok(*critical.signing(number, "Ada"))
    critical.fails("has answered before", *critical.signing(number, "Ada"))
    assert "not run" in critical.ok(*critical.signing(number, "Bea"))


def test_nothing_counts_after_the_expiry(desk: Desk) -> None:
    (desk.data / "countersign.toml").write_text(
        (desk.data / "countersign.toml").read_text() + "[approvals]\nexpiry_minutes = 1\n"
    )
    number = desk.propose()
    (held,) = fakes.run_json("approvals", "--data", desk.data)
    assert held["expires_ms"] - time.time_ns() // 1_000_000 < 60_000
    late = open_site(desk.data, clock=fakes.StepClock(held["expires_ms"]))
    assert late.tidy() == 1
    late.close()
    desk.fails("has expired", *desk.signing(number, "Bea"))

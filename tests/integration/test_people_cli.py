"""People and approvals by command line, as a stranger types them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests import fakes
from tests.ssh_signing import make, sign

needs_ssh_keygen = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed (package openssh-client)"
)
NAMES = ("ada", "bea", "cyn")


pytestmark = pytest.mark.slow


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """On SQLite alone: what the commands do in the database is tested on both, in test_changes."""
    return fakes.data_directory(tmp_path / "data")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Private and public keys as files, by name."""
    folder = tmp_path / "keys"
    folder.mkdir()
    for name in NAMES:
        key = make("ssh-ed25519", f"file {name}")
        (folder / f"{name}.pub").write_text(key.public + "\n")
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(key.private_file())
    return folder


def run(data: Path, *args: str | Path) -> Any:
    done = fakes.run(*args, "--data", data)
    assert done.returncode == 0, done.stderr.decode()
    return done


def fails(data: Path, words: str, code: int, *args: str | Path) -> None:
    done = fakes.run(*args, "--data", data)
    assert (done.returncode, len(done.stderr.decode().splitlines())) == (code, 1), done.stderr.decode()
    assert words in done.stderr.decode()


def waiting(data: Path) -> list[Any]:
    return list(fakes.run_json("approvals", "--data", data))


@needs_ssh_keygen
def test_enrol_sign_with_ssh_keygen_list_and_revoke(data: Path, keys: Path) -> None:
    first = run(data, "people", "enrol", "Ada", "--key", keys / "ada.pub")
    assert b"trusted without a signature" in first.stderr
    by_ada = ("--approved-by", "Ada", "--sign-with", keys / "ada", "--reason", "our colleague")
    shown = run(data, "people", "enrol", "Bea", "--key", keys / "bea.pub", *by_ada).stdout.decode()
    assert "is Bea" in shown
    people = fakes.run_json("people", "list", "--data", data)["keys"]
    assert [(one["name"], one["entitlement"], one["revoked_ms"]) for one in people] == [
        ("Ada", "approver", 0),
        ("Bea", "approver", 0),
    ]
    run(data, "people", "revoke", "Bea", "--reason", "left")
    assert fakes.run_json("people", "list", "--data", data)["keys"][1]["revoked_ms"] > 0
    fails(data, "last approver", 2, "people", "revoke", "Ada", "--reason", "left")
    assert fakes.run_json("rebuild", "--check", "--data", data)["ok"]
    run(data, "verify")


def test_a_signature_made_elsewhere(data: Path, keys: Path, tmp_path: Path) -> None:
    run(data, "people", "enrol", "Ada", "--key", keys / "ada.pub")
    run(data, "people", "enrol", "Bea", "--key", keys / "bea.pub")
    (held,) = waiting(data)
    assert (held["change"], held["from"], held["people"]) == ("person.enrol", "", 1)
    number, signature = str(held["id"]), tmp_path / "answer.sig"
    approve = ("approve", number, "--person", "Ada", "--reason", "known", "--signature", signature)
    fails(data, "cannot be read", 2, *approve)
    signature.write_text(sign(make("ssh-ed25519", "file cyn"), held["message"].encode()))
    fails(data, "is not enrolled", 1, *approve)
    text = sign(make("ssh-ed25519", "file ada"), held["message"].encode())
    signature.write_text(text[:-40])
    fails(data, "cut short", 1, *approve)
    signature.write_bytes(text.replace("\n", "\r\n").encode())
    shown = run(data, *approve).stdout.decode()
    assert held["message"] in shown
    assert held["digest"] in shown
    assert waiting(data) == []
    fails(data, "approved already", 2, *approve)


def test_a_denial_and_what_is_wrong_are_one_line_each(data: Path, keys: Path, tmp_path: Path) -> None:
    enrol = ("people", "enrol", "Bea", "--key")
    fails(data, "public key", 2, *enrol, keys / "ada")
    fails(data, "cannot be read", 2, *enrol, tmp_path / "none.pub")
    run(data, "people", "enrol", "Ada", "--key", keys / "ada.pub")
    fails(data, "go together", 2, *enrol, keys / "bea.pub", "--approved-by", "Ada")
    run(data, *enrol, keys / "bea.pub")
    fails(data, "the same waits already", 2, *enrol, keys / "bea.pub")
    number = str(waiting(data)[0]["id"])
    person = ("--person", "Ada", "--reason", "no")
    fails(data, "no such key", 2, "approve", number, *person, "--sign-with", tmp_path / "none")
    fails(data, "nothing to approve with", 2, "approve", number, *person)
    run(data, "deny", number, *person)
    assert waiting(data) == []
    fails(data, "denied already", 2, "deny", number, *person)
    fails(data, "no such change", 2, "deny", "999", *person)


@needs_ssh_keygen
def test_a_key_that_ssh_keygen_cannot_use_leaves_the_change_waiting(data: Path, keys: Path) -> None:
    run(data, "people", "enrol", "Ada", "--key", keys / "ada.pub")
    (keys / "broken").write_text("no key\n")
    by_ada = ("--approved-by", "Ada", "--sign-with", keys / "broken", "--reason", "x")
    fails(data, "ssh-keygen did not sign", 2, "people", "enrol", "Bea", "--key", keys / "bea.pub", *by_ada)
    assert len(waiting(data)) == 1

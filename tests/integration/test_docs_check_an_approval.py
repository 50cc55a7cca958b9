"""The how-to's script is executed as it stands: it verifies real logs, and none that was changed."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from countersign.approvals import sshsig
from countersign.approvals.change import message
from countersign.approving import Approving, by_name
from countersign.bootstrap import Site
from countersign.impact import Impact
from countersign.model.inventory import Criticality
from countersign.store.changes import Answer
from countersign.store.proposals import NOT_RUN
from tests import responding
from tests.passkey_signing import enrol
from tests.ssh_signing import SECURITY_KEY, make, sign

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "check-an-approval.md").read_text("utf-8")
(SCRIPT,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
KINDS = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ssh-rsa", SECURITY_KEY]


SHORT = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "check_approval.py"
needs_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")


def short(log: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(SHORT), str(log)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def check(log: Path) -> subprocess.CompletedProcess[str]:
    script = log.parent / "check_approvals.py"
    script.write_text(SCRIPT, "utf-8")
    command = [sys.executable, "-I", str(script), str(log)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def log(site: Site) -> Path:
    """Five people, each with a key of another type, let in by the one before."""
    impact = Impact(site)
    keys = [make(kind, "page") for kind in KINDS]
    assert impact.enrol(KINDS[0], sshsig.parse_key(keys[0].public)) is None
    for before, (kind, key) in enumerate(zip(KINDS[1:], keys[1:], strict=True)):
        number = impact.enrol(kind, sshsig.parse_key(key.public))
        assert number is not None
        armoured = sign(keys[before], message(impact.waiting(number).digest))
        impact.approve(number, Answer(KINDS[before], armoured, "known"))
    new = make("ssh-ed25519", "sixth")
    number = impact.enrol("sixth", sshsig.parse_key(new.public))
    assert number is not None
    impact.approve(number, Answer(KINDS[4], sign(keys[4], message(impact.waiting(number).digest)), "known"))
    impact.revoke("sixth", "left")
    return site.data / "tlog"


def test_it_imports_nothing_of_ours_and_is_short() -> None:
    tree = ast.parse(SCRIPT)
    names = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} - sys.stdlib_module_names == {"cryptography", "cbor2"}
    assert len(SCRIPT.splitlines()) < 170


def test_the_one_of_one_screen_imports_nothing_of_ours_either() -> None:
    lines = SHORT.read_text("utf-8").splitlines()
    found = {line.split()[1].partition(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert found - sys.stdlib_module_names == {"cryptography", "cbor2"}
    assert len(lines) <= 60


def test_it_verifies_approvals_with_every_type_of_key(log: Path) -> None:
    done = check(log)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"approved person\.enrol of person~", done.stdout)) == len(KINDS)


@pytest.fixture
def signed(site: Site) -> Path:
    """A published log with an action and a change, approved by passkeys and by an OpenSSH key."""
    keys = {name: enrol(site, name) for name in ("ada", "bea")}
    case = responding.case(site, Criticality.CRITICAL)
    approving = Approving(site)
    number = approving.propose(case, by_name("isolate_host", ""), "cyn")
    new = make("ssh-ed25519", "dan")
    enrolment = Impact(site).enrol("dan", sshsig.parse_key(new.public))
    assert enrolment is not None
    approving.approve_by_passkey(enrolment, "bea", keys["bea"].press(approving.ceremony(enrolment, "bea")), "known")
    approving.approve_by_passkey(number, "ada", keys["ada"].press(approving.ceremony(number, "ada")), "seen it")
    armoured = sign(new, message(approving.sheet(number).line.digest))
    assert approving.approve(number, Answer("dan", armoured, "seen it too")) == NOT_RUN
    return site.data / "tlog"


@needs_ssh_keygen
def test_both_verify_passkeys_and_openssh_signatures_side_by_side(signed: Path) -> None:
    for done in (check(signed), short(signed)):
        assert done.returncode == 0, done.stderr
        assert len(re.findall(r"^entry \d+: person~\w+ approved ", done.stdout, re.MULTILINE)) == 4


PROPOSED = r'("digest":"\w{10})(.)(?=[^}]*\},"kind":"proposal.created")'
APPROVED_BY = r'("id":"person~)(.)(?=[^}]*\},"body":\{"digest":"\w+","fing)'
FORGED: list[tuple[str, Callable[[str], str]]] = [
    ("the nonce", lambda text: re.sub(r'("nonce":"\w{40})(.)', _other, text, count=1)),
    ("the signature", lambda text: re.sub(r'("signature":"ME[\w+/]{20})(.)', _other, text, count=1)),
    ("the client data", lambda text: re.sub(r'("client_data":"\w{60})(.)', _other, text, count=1)),
    ("the authenticator data", lambda text: re.sub(r'("authenticator_data":"\w{10})(.)', _other, text, count=1)),
    (
        "what was proposed",
        lambda text: re.sub(PROPOSED, _other, text, count=1),
    ),
    (
        "who approved",
        lambda text: re.sub(APPROVED_BY, _other, text, count=1),
    ),
    ("the OpenSSH signature", lambda text: re.sub(r"(SIGNATURE-----\\nU1NIU0lHAAAAAQ.{80})(.)", _other, text, count=1)),
]


@needs_ssh_keygen
@pytest.mark.parametrize(("what", "edit"), FORGED, ids=[what for what, _ in FORGED])
def test_neither_takes_what_was_changed(signed: Path, tmp_path: Path, what: str, edit: Callable[[str], str]) -> None:
    copy = edited(signed, tmp_path, edit, what)
    assert (check(copy).returncode, short(copy).returncode) == (1, 1), what


CHANGES: list[tuple[str, Callable[[str], str]]] = [
    ("the change", lambda text: text.replace(r"\"people\":1", r"\"people\":2", 1)),
    ("whom it is about", lambda text: re.sub(r'\\"subject\\":\\"person~.', r'\\"subject\\":\\"person~!', text, count=1)),
    ("the signature", lambda text: re.sub(r"(SIGNATURE-----\\nU1NIU0lHAAAAAQ.{80})(.)", _other, text, count=1)),
    (
        "who asked",
        lambda text: re.sub(r'("id":"person~)(.)(?=[^}]*\},"body":\{"digest":"\w+","proposal")', _other, text, count=1),
    ),
    (
        "who approved",
        lambda text: re.sub(r'("id":"person~)(.)(?=[^}]*\},"body":\{"digest":"\w+","fing)', _other, text, count=1),
    ),
    ("whose key it is", lambda text: re.sub(r'("kind":"person.enrolled","subject":"person~)(.)', _other, text, count=1)),
    ("how the first came in", lambda text: text.replace('"change":-1', '"change":99', 1)),
    ("when it was given", lambda text: re.sub(r'("kind":"change.approved".*?"time":)(.)', r"\g<1>9", text, count=1)),
]


def _other(found: re.Match[str]) -> str:
    return found[1] + ("A" if found[2] != "A" else "B")


def edited(log: Path, tmp_path: Path, edit: Callable[[str], str], what: str) -> Path:
    """A copy of the log in which one thing was changed."""
    copy = tmp_path / "copy" / "tlog"
    shutil.copytree(log, copy)
    parts = sorted((copy / "tile" / "entries" / "000.p").iterdir(), key=lambda part: int(part.name))
    text = parts[-1].read_bytes().decode("latin-1")
    changed = edit(text)
    assert (changed != text, len(changed)) == (True, len(text)), what
    parts[-1].write_bytes(changed.encode("latin-1"))
    return copy


@pytest.mark.parametrize(("what", "edit"), CHANGES, ids=[what for what, _ in CHANGES])
def test_it_refuses_what_was_changed(log: Path, tmp_path: Path, what: str, edit: Callable[[str], str]) -> None:
    done = check(edited(log, tmp_path, edit, what))
    assert done.returncode == 1
    assert "NOT VERIFIED" in done.stderr

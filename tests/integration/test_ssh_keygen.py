"""Against the real thing: what ``ssh-keygen`` signs verifies here, and it reads what our tests make."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from countersign.approvals import sshsig
from countersign.errors import UsageError, VerificationError
from tests.ssh_signing import make, sign

SSH_KEYGEN = shutil.which("ssh-keygen") or ""
MESSAGE = b"countersign-approval-v1\n" + b"a" * 64
pytestmark = pytest.mark.skipif(not SSH_KEYGEN, reason="ssh-keygen is not installed (package openssh-client)")


def keygen(*args: str | Path, stdin: bytes = b"") -> bytes:
    done = subprocess.run([SSH_KEYGEN, *map(str, args)], input=stdin, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def key_of(folder: Path, *kind: str) -> Path:
    file = folder / "key"
    keygen("-q", "-t", *kind, "-N", "", "-C", "ada@laptop", "-f", file)
    return file


ALLOWED = [("ed25519",), ("ecdsa", "-b", "256"), ("ecdsa", "-b", "384"), ("rsa", "-b", "2048")]


@pytest.mark.parametrize("kind", ALLOWED, ids="-".join)
@pytest.mark.parametrize("options", [(), ("-O", "hashalg=sha256")], ids=["default", "sha256"])
def test_what_ssh_keygen_signs_verifies(tmp_path: Path, kind: tuple[str, ...], options: tuple[str, ...]) -> None:
    file = key_of(tmp_path, *kind)
    armoured = keygen("-Y", "sign", *options, "-n", "countersign", "-f", file, stdin=MESSAGE).decode()
    public = sshsig.parse_key(file.with_suffix(".pub").read_text())
    assert sshsig.verify(armoured, MESSAGE) == public
    assert public.fingerprint in keygen("-l", "-f", file).decode()
    assert len(public.line.split()) == 2, "nobody's name behind the key"
    with pytest.raises(VerificationError, match="does not match"):
        sshsig.verify(armoured, MESSAGE + b"\n")


def test_its_signature_for_another_purpose_is_refused(tmp_path: Path) -> None:
    armoured = keygen("-Y", "sign", "-n", "git", "-f", key_of(tmp_path, "ed25519"), stdin=MESSAGE).decode()
    with pytest.raises(VerificationError, match="made for 'git'"):
        sshsig.verify(armoured, MESSAGE)


@pytest.mark.parametrize("kind", [("ecdsa", "-b", "521"), ("rsa", "-b", "1024")], ids="-".join)
def test_its_other_keys_are_refused(tmp_path: Path, kind: tuple[str, ...]) -> None:
    file = key_of(tmp_path, *kind)
    with pytest.raises(UsageError, match=r"not allowed|1024 bits"):
        sshsig.parse_key(file.with_suffix(".pub").read_text())


def test_it_accepts_what_our_tests_make(tmp_path: Path) -> None:
    """So the signatures of the other tests are those of the format, not of our own reading of it."""
    key = make("ssh-ed25519", "ours")
    signers, signature = tmp_path / "signers", tmp_path / "sig"
    signers.write_text(f"ada {key.public}\n")
    signature.write_text(sign(key, MESSAGE))
    out = keygen("-Y", "verify", "-f", signers, "-I", "ada", "-n", "countersign", "-s", signature, stdin=MESSAGE)
    assert out.startswith(b'Good "countersign" signature for ada')

"""A stranger's tools accept an evidence pack as VERIFY.md says, and none in which something was changed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import zipfile
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from countersign.bootstrap import Site
from countersign.reporting import pack as packing
from countersign.reporting.make import Pack, Wanted, make_pack
from countersign.store import rotation
from tests import responding
from tests.evidence_pack import flip, followed, needs_tools, one, resum

pytestmark = pytest.mark.xdist_group("report")  # they share one site


GOPATH = Path("/usr/share/gocode")
"""Where Debian puts golang-golang-x-mod-dev."""


@pytest.fixture
def empty(pack: Pack, tmp_path: Path) -> Path:
    """The pack as a stranger gets it: unpacked from the archive in an empty folder."""
    archive = tmp_path / "pack.zip"
    archive.write_bytes(packing.zipped(pack.files, "pack"))
    with zipfile.ZipFile(archive) as held:
        held.extractall(tmp_path / "somewhere")
    return tmp_path / "somewhere" / "pack"


@needs_tools
def test_verify_md_followed_in_an_empty_folder_accepts_the_pack(empty: Path) -> None:
    done = followed(empty)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.endswith("VERIFIED\n")
    people = [line for line in done.stdout.splitlines() if line.startswith("entries/") and "intent" not in line]
    assert sum("signature holds" in line or "NOT CHECKED" in line for line in people) == 2
    assert ("evidence/" in done.stdout) == (shutil.which("zstd") is None)
    assert "the passkey's signature holds" in done.stdout
    assert ("the OpenSSH signature holds" in done.stdout) == (shutil.which("ssh-keygen") is not None)
    assert done.stdout.count("its intent had been sealed") == 2
    script = subprocess.run(["sh", "verify.sh"], cwd=empty, capture_output=True, text=True, check=False, timeout=300)
    assert (script.returncode, script.stdout) == (0, done.stdout), "the script is what the manual says"


def _other_reason(folder: Path) -> None:
    """An entry that stays good JSON and says something else."""
    path = next(p for p in folder.glob("entries/*.json") if b'"kind":"case.disposed"' in p.read_bytes())
    path.write_bytes(path.read_bytes().replace(b'"true_positive"', b'"benign_really"', 1))


def _other_place(folder: Path) -> None:
    """An entry under another's number, with its proof relabelled."""
    first, second = sorted(folder.glob("entries/*.json"))[:2]
    second.write_bytes(first.read_bytes())


def _own_key(folder: Path) -> None:
    """The key of another log of the same name."""
    name, _, _ = (folder / "log.vkey").read_text().split("+", 2)
    raw = bytes([1]) + bytes(range(32))
    ident = hashlib.sha256(name.encode() + b"\n" + raw).hexdigest()[:8]
    (folder / "log.vkey").write_text(f"{name}+{ident}+{b64encode(raw).decode()}\n")


def _cite_more(folder: Path) -> None:
    path = folder / "report.html"
    path.write_text(path.read_text("utf-8").replace("</main>", '<a href="entries/123456.json">x</a></main>'), "utf-8")


FORGERIES: dict[str, Callable[[Path], None]] = {
    "a byte of an entry": lambda folder: flip(one(folder, "entries/*.json")),
    "what an entry says": _other_reason,
    "an entry in another's place": _other_place,
    "a byte of a proof": lambda folder: flip(one(folder, "proofs/*")),
    "a byte of the checkpoint": lambda folder: flip(folder / "checkpoint"),
    "a byte of matter beside the log": lambda folder: flip(one(folder, "evidence/*.bin")),
    "a byte of a salt": lambda folder: flip(one(folder, "evidence/*.salt")),
    "the log's key": _own_key,
    "a citation of what is not there": _cite_more,
    "a file beside the evidence": lambda folder: (folder / "evidence" / "words.txt").write_text("it holds") and None,
    "matter without its salt": lambda folder: one(folder, "evidence/*.salt").unlink(),
    "an entry without a proof": lambda folder: one(folder, "proofs/*").unlink(),
}


@needs_tools
@pytest.mark.parametrize("what", FORGERIES)
def test_verify_md_refuses_a_pack_in_which_something_was_changed(empty: Path, what: str) -> None:
    FORGERIES[what](empty)
    done = followed(empty)
    assert done.returncode != 0, "the manifest finds it"
    resum(empty)
    done = followed(empty)
    assert done.returncode != 0, done.stdout
    assert "VERIFIED\n" not in done.stdout


def _words(folder: Path) -> None:
    """The end of what a probe said: every word of it stands in the matter."""
    path = one(folder, "evidence/*-words.txt")
    path.write_bytes(path.read_bytes().partition(b" ")[2])


def _policy(folder: Path) -> None:
    """One policy under the name of another."""
    one(folder, "evidence/*-policy-run.cedar").write_bytes(one(folder, "evidence/*-policy-read.cedar").read_bytes())


@needs_tools
@pytest.mark.skipif(shutil.which("zstd") is None, reason="no zstd")
@pytest.mark.parametrize("forge", [_words, _policy])
def test_what_was_made_readable_is_what_its_matter_says(empty: Path, forge: Callable[[Path], None]) -> None:
    forge(empty)
    resum(empty)
    done = followed(empty)
    assert done.returncode != 0, done.stdout
    assert "is not what its matter says" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("go") is None or not (GOPATH / "src/golang.org/x/mod").is_dir(), reason="no Go with x/mod")
def test_go_s_own_verifier_accepts_the_pack_and_refuses_a_changed_byte(empty: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r"```go\n(.*?)```", (empty / "VERIFY.md").read_text("utf-8"), re.DOTALL)
    source = tmp_path / "check.go"
    source.write_text(code)
    setting = {"GO111MODULE": "off", "GOPATH": str(GOPATH), "GOCACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    binary = tmp_path / "check"
    build = ["go", "build", "-o", str(binary), str(source)]
    subprocess.run(build, env=os.environ | setting, check=True, capture_output=True, timeout=300)
    done = subprocess.run([binary, empty], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "VERIFIED" in done.stdout) == (0, True), done.stderr
    for pattern in ("entries/*.json", "proofs/*", "checkpoint"):
        path = one(empty, pattern)
        held = path.read_bytes()
        flip(path)
        assert subprocess.run([binary, empty], capture_output=True, check=False, timeout=60).returncode != 0, pattern
        path.write_bytes(held)


@needs_tools
def test_a_pack_with_names_is_verified_as_well(acted: tuple[Site, str], tmp_path: Path) -> None:
    made = make_pack(acted[0], Wanted(case=acted[1], named=True))
    packing.write(made.files, tmp_path / "named")
    done = followed(tmp_path / "named")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@needs_tools
def test_a_pack_made_after_the_log_s_key_was_exchanged_is_verified_by_the_newone(site: Site, tmp_path: Path) -> None:
    case = responding.case(site)
    before = site.log_key.vkey
    rotation.rotate(site.data, site.engine, site.sealer, site.tiles, "ada", "yearly", site.clock.now_ms())
    made = make_pack(site, Wanted(case=case))
    assert made.files["log.vkey"].decode().strip() == str(site.log_key.vkey) != str(before)
    assert str(before).encode() in made.files["handovers.json"]
    packing.write(made.files, tmp_path / "rotated")
    done = followed(tmp_path / "rotated")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout

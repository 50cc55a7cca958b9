"""A case whose host was isolated and released on signatures, its evidence pack, and what a stranger does with one."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from countersign.approvals import sshsig
from countersign.approvals.change import message
from countersign.approving import Approving
from countersign.bootstrap import Site
from countersign.impact import Impact
from countersign.ledger.note import parse_vkey
from countersign.ledger.proof import verify_proof
from countersign.reporting import pack as packing
from countersign.reporting.make import Pack
from countersign.running import Runner
from countersign.store.signers import Answer
from tests.integration.test_proposals import ADA, CYN, Room
from tests.ssh_signing import make as make_key
from tests.ssh_signing import sign

DAN = "Dan Rook"
REASON = 'seen <b>it</b> #strong[x] $a$ \\ "quoted" entries/999.json \u202e'
"""What people type is data in HTML and in typst's markup alike."""
TOOLS = ("sh", "openssl", "sha256sum", "xxd", "base64", "awk")
needs_tools = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS), reason=f"one of {', '.join(TOOLS)} is not installed"
)


def act(site: Site, marks: Path) -> str:
    """A case whose host is isolated on signatures by a passkey and an OpenSSH key, and released again; returns its id."""
    marks.mkdir()
    site.config = replace(site.config, actions={"isolate_host": {"run": True, "folder": str(marks)}})
    room, key = Room(site), make_key("ssh-ed25519", "dan")
    enrolment = Impact(site).enrol(DAN, sshsig.parse_key(key.public))
    if enrolment is not None:
        assert room.approve(enrolment, ADA) == "approved and made"
    number = room.propose()
    room.approve(number, ADA, reason=REASON)
    assert Runner(site).step() == 1
    undo = room.approving.propose_undo(number, CYN)
    digest = Approving(site).sheet(undo).line.digest
    Approving(site).approve(undo, Answer(DAN, sign(key, message(digest)), REASON))
    assert Runner(site).step() == 1
    site.commands.assign(room.case, CYN)
    site.commands.dispose(room.case, "true_positive", REASON)
    return room.case


def followed(folder: Path) -> subprocess.CompletedProcess[str]:
    """What VERIFY.md says, block after block, in one shell with nothing of ours on the way."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (folder / "VERIFY.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
    bare = {"PATH": os.environ["PATH"], "TMPDIR": str(folder.parent)}
    command = ["sh", "-c", "".join(blocks)]
    return subprocess.run(command, cwd=folder, env=bare, capture_output=True, text=True, check=False, timeout=300)


def resum(folder: Path) -> None:
    """A forger makes the manifest fit."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    lines = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in names if n != packing.SUMS]
    (folder / packing.SUMS).write_text("".join(lines))


def flip(path: Path, at: int | None = None) -> None:
    """Change one byte, that in the middle when none is named."""
    data = bytearray(path.read_bytes())
    if at is None:
        at = len(data) // 2
        while b"=" in data[at : at + 3]:  # the last letter of Base64 has bits that say nothing
            at -= 1
    data[at] ^= 1
    path.write_bytes(data)


def one(folder: Path, pattern: str) -> Path:
    """The first file of a pattern."""
    return sorted(folder.glob(pattern))[0]


def claims(pack: Pack) -> list[dict[str, Any]]:
    return [claim for section in json.loads(pack.files["report.json"])["sections"] for claim in section["claims"]]


def cites(claim: dict[str, Any]) -> set[int]:
    return {*claim["cites"], *(index for line in claim["lines"] for index in line["cites"])}


def assert_resolves(pack: Pack) -> None:
    """Each statement rests on entries of the pack that are proved, or says that no entry shows it and rests on none."""
    keys = [parse_vkey(pack.files["log.vkey"].decode().strip())]
    said = claims(pack)
    assert said
    for claim in said:
        assert bool(cites(claim)) != claim["absent"], claim["text"]
    for index in {index for claim in said for index in cites(claim)}:
        proof = pack.files[f"proofs/{index}.tlog-proof"].decode()
        checkpoint = verify_proof(proof, pack.files[f"entries/{index}.json"], keys)
        assert checkpoint.size == pack.size > index
        assert proof.endswith(pack.files["checkpoint"].decode())
    names = {int(Path(name).stem) for name in pack.files if name.startswith("entries/")}
    assert names == {index for claim in said for index in cites(claim)}

"""``countersign verify`` and ``proof`` as a stranger runs them, on logs that were tampered with."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, update

from countersign.ledger.canonical import encode
from countersign.ledger.note import parse_vkey, split_note
from countersign.ledger.proof import verify_proof
from countersign.ledger.tiles import decode_bundle, encode_bundle
from countersign.store import tables as t
from countersign.store.engine import make_engine, writing
from countersign.store.keys import load_or_create
from countersign.store.sealer import Sealer
from countersign.store.tiles import TileDir
from tests.ledger_log import add, blobs, entry, flip

# The two commands alone, with the exit codes of the real door.
DOOR = """
import sys, typer
from countersign.cli import ledger
from countersign.errors import CountersignError
app = typer.Typer(pretty_exceptions_enable=False)
ledger.register(app)
try:
    app()
except CountersignError as error:
    sys.stderr.write(f"countersign: {error}\\n")
    sys.exit(error.exit_code)
"""
SRC = Path(__file__).resolve().parents[2] / "src"


def run(*args: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(SRC), "PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    command = [sys.executable, "-c", DOOR, *map(str, args)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory: 600 sealed entries, 3 unsealed, and the checkpoint at 300."""
    data = tmp_path_factory.mktemp("site")
    engine = make_engine(f"sqlite:///{data / 'countersign.sqlite'}")
    t.metadata.create_all(engine)
    sealer = Sealer(engine, TileDir(data / "tlog"), load_or_create(data))
    add(engine, 300)
    sealer.seal()
    shutil.copy(data / "tlog" / "checkpoint", data / "old")
    add(engine, 300, 300)
    sealer.seal()
    add(engine, 3, 600)
    engine.dispose()
    return data


@pytest.fixture
def site(pristine: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pristine, tmp_path / "site")


def database(site: Path, change: Callable[[Engine], None]) -> None:
    engine = make_engine(f"sqlite:///{site / 'countersign.sqlite'}")
    change(engine)
    engine.dispose()


def verified(*args: str | Path) -> tuple[int, dict[str, Any]]:
    done = run("verify", *args, "--json")
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def test_an_untouched_site_verifies(site: Path) -> None:
    code, report = verified("--data", site, "--since", site / "old")
    assert (code, report["ok"], report["problems"]) == (0, True, [])
    assert report["size"] == 600
    assert base64.b64encode(base64.b64decode(report["root"])).decode() in (site / "tlog" / "checkpoint").read_text()
    assert report["checked"]["unsealed_rows"] == 3
    shown = run("verify", site)
    assert shown.returncode == 0
    assert "verified" in shown.stdout


def test_bare_tiles_verify_with_the_key_alone(site: Path, tmp_path: Path) -> None:
    bare = shutil.move(site / "tlog", tmp_path / "bare")
    key = (site / "log.vkey").read_text().strip()
    assert verified(bare, "--key", key)[0] == 0
    assert verified(bare, "--key", site / "log.vkey")[0] == 0
    no_key = run("verify", bare)
    assert no_key.returncode == 2
    assert "give --key" in no_key.stderr
    wrong = str(load_or_create(tmp_path / "other").vkey)
    code, report = verified(bare, "--key", wrong)
    assert code == 1
    assert "no signature by a trusted key" in report["problems"][-1]["what"]


def bundle(site: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path = site / "tlog" / "tile" / "entries" / "001"
    path.write_bytes(encode_bundle(change(decode_bundle(path.read_bytes())[0])))


def swapped(items: list[bytes]) -> list[bytes]:
    items[10], items[20] = items[20], items[10]
    return items


TAMPERINGS: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "byte of an entry": (
        lambda site: bundle(site, lambda e: [*e[:5], flip(e[5], 77), *e[6:]]),
        261,
        "entry 261 was changed",
    ),
    "entry deleted": (lambda site: bundle(site, lambda e: e[:7] + e[8:]), 263, "entry 263 was deleted"),
    "entries swapped": (lambda site: bundle(site, swapped), 266, "entries 266 and 276 were swapped"),
    "entry inserted": (lambda site: bundle(site, lambda e: [*e[:9], blobs(1, 9999)[0], *e[9:-1]]), 265, "inserted"),
    "bundle truncated": (lambda site: bundle(site, lambda e: e[:100]), 356, "entries 356 to 511 are missing"),
    "bundle removed": (lambda site: (site / "tlog/tile/entries/001").unlink(), 256, "is missing"),
    "row changed": (
        lambda site: database(site, lambda e: change_row(e, 280)),
        280,
        "database: entry 280 was changed",
    ),
    "row deleted": (lambda site: database(site, lambda e: delete_rows(e, 280, 281)), 280, "entry 280 was deleted"),
    "rows rolled back": (lambda site: database(site, lambda e: delete_rows(e, 400, 999)), 400, "rolled back"),
    "unsealed row deleted": (lambda site: database(site, lambda e: delete_rows(e, 602, 603)), 602, "were deleted"),
    "database removed": (lambda site: [p.unlink() for p in site.glob("countersign.sqlite*")], 0, "rolled back"),
    "byte of a leaf hash": (
        lambda site: change_file(site / "tlog/tile/0/000", 32 * 8 * 40),
        40,
        "leaf hash 40 was changed",
    ),
    "hash tile truncated": (lambda site: cut_file(site / "tlog/tile/0/001", 320), 266, "truncated"),
}


def change_row(engine: Engine, index: int) -> None:
    with writing(engine) as conn:
        changed = encode(entry(index, "forged"))
        conn.execute(update(t.entries).where(t.entries.c.idx == index).values(bytes=changed))


def delete_rows(engine: Engine, start: int, stop: int) -> None:
    with writing(engine) as conn:
        conn.execute(delete(t.entries).where(t.entries.c.idx >= start, t.entries.c.idx < stop))


def change_file(path: Path, bit: int) -> None:
    path.write_bytes(flip(path.read_bytes(), bit))


def cut_file(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_named_and_exits_1(site: Path, name: str) -> None:
    tamper, index, words = TAMPERINGS[name]
    tamper(site)
    code, report = verified("--data", site)
    assert code == 1
    assert not report["ok"]
    assert [p for p in report["problems"] if p["index"] == index and words in p["what"]], report["problems"]


def test_a_log_rolled_back_with_its_database_is_seen_with_a_newer_checkpoint(site: Path) -> None:
    newer = shutil.copy(site / "tlog" / "checkpoint", site / "newer")
    shutil.copy(site / "old", site / "tlog" / "checkpoint")
    database(site, lambda engine: delete_rows(engine, 300, 9999))
    code, report = verified(site, "--since", newer)
    assert code == 1
    assert [p for p in report["problems"] if p["index"] == 300 and "rolled back" in p["what"]]


def test_a_torn_database_file_is_a_problem_not_a_crash(site: Path) -> None:
    for extra in site.glob("countersign.sqlite-*"):
        extra.unlink()
    path = site / "countersign.sqlite"
    data = bytearray(path.read_bytes())
    data[4096 * 3 : -4096] = b"\xa5" * (len(data) - 4096 * 4)
    path.write_bytes(data)
    code, report = verified(site)
    assert code == 1
    assert any("database" in problem["what"] for problem in report["problems"])


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("verify", "nowhere"), "no such directory"),
        (("verify", "SITE", "--since", "nowhere"), "nowhere: cannot be read"),
        (("verify", "SITE", "--key", "nonsense"), "cannot be read"),
        (("verify", "SITE", "--key", "a+b+c"), "not an Ed25519 key"),
        (("proof", "603", "SITE"), "entry 603: log covers entries 0 to 599"),
    ],
)
def test_wrong_use_is_one_clear_line(site: Path, args: tuple[str, ...], words: str) -> None:
    done = run(*(str(site) if arg == "SITE" else arg for arg in args))
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout


def test_a_printed_proof_checks_without_the_log(site: Path) -> None:
    text = run("proof", "599", "--data", site).stdout
    made = json.loads(run("proof", "599", site, "--json").stdout)
    assert made["proof"] == text
    key = parse_vkey((site / "log.vkey").read_text().strip())
    assert verify_proof(text, made["entry"].encode(), [key]).size == 600


def test_openssl_accepts_the_checkpoint_and_refuses_a_changed_one(site: Path, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    text, (signature,) = split_note((site / "tlog" / "checkpoint").read_bytes())
    key = parse_vkey((site / "log.vkey").read_text().strip())
    spki = bytes.fromhex("302a300506032b6570032100") + key.public_key  # RFC 8410: SubjectPublicKeyInfo of Ed25519
    (tmp_path / "key.der").write_bytes(spki)
    (tmp_path / "signature").write_bytes(signature.raw)

    def accepts(message: str) -> bool:
        (tmp_path / "text").write_text(message)
        key_file = ["-pubin", "-keyform", "DER", "-inkey", "key.der"]
        arguments = ["pkeyutl", "-verify", *key_file, "-rawin", "-in", "text", "-sigfile", "signature"]
        return subprocess.run([openssl, *arguments], cwd=tmp_path, capture_output=True, check=False).returncode == 0

    assert accepts(text)
    assert not accepts(text.replace("600", "601"))

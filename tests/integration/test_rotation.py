"""Rotating the log's key: old holders follow, a stolen old key signs nothing new, a cut leaves a log that verifies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from countersign.bootstrap import Site, open_site
from countersign.cli.main import app
from countersign.errors import CountersignError, UsageError, VerificationError
from countersign.ledger import handover
from countersign.ledger.handover import Handover
from countersign.ledger.note import VerifierKey, parse_vkey, sign_note
from countersign.ledger.verify import verify
from countersign.model.entries import Kind
from countersign.model.standing import Standing
from countersign.store import rotation
from countersign.store.keys import KEY_FILE, NEXT_FILE, VKEY_FILE, load
from countersign.store.ledger_rows import LedgerRows
from countersign.store.sealer import Sealer
from countersign.store.tiles import Disk, TileDir
from countersign.watching import Verifier
from tests import fakes


def rotate(site: Site, tiles: TileDir | None = None) -> VerifierKey:
    tiles = tiles or site.tiles
    return rotation.rotate(site.data, site.engine, site.sealer, tiles, "ada", "yearly", site.clock.now_ms())


def more(site: Site) -> None:
    """Something happens, and is sealed."""
    site.commands.stop("*", "test")
    site.commands.resume("*", "test")
    site.seal()


def holds(site: Site, key: VerifierKey, since: bytes | None = None) -> str:
    """The first problem that whoever holds this key sees, "" for none."""
    trust = handover.follow([key], rotation.published(site.tiles))
    report = verify(site.tiles, trust.older, record=LedgerRows(site.engine), since=since)
    wrong = handover.refused(site.tiles.checkpoint() or b"", trust)
    return wrong or next((problem.what for problem in report.problems), "")


def test_who_holds_an_old_key_follows_and_a_running_process_signs_with_the_new_one(site: Site) -> None:
    site.seal()
    first, older = site.log_key.vkey, site.tiles.checkpoint()
    second = rotate(site)
    assert second != first
    assert site.log_key.vkey == second
    assert parse_vkey((site.data / VKEY_FILE).read_text().strip()) == second
    more(site)
    third = rotate(site)
    more(site)
    for key in (first, second, third):
        assert holds(site, key, older) == ""
    assert load(site.data / KEY_FILE).vkey == third
    assert not (site.data / NEXT_FILE).exists()
    with pytest.raises(VerificationError, match="no signature by a trusted key"):
        verify_alone(site, first)
    open_site(site.data).close()


def verify_alone(site: Site, key: VerifierKey) -> None:
    """As whoever knows of no handover."""
    report = verify(site.tiles, [key])
    if not report.ok:
        raise VerificationError(report.problems[-1].what)


def test_a_stolen_old_key_signs_nothing_after_the_handover(site: Site) -> None:
    site.seal()
    old = load(site.data / KEY_FILE)
    rotate(site)
    more(site)
    checkpoint = site.sealer.checkpoint()
    assert checkpoint is not None
    site.tiles.write_checkpoint(sign_note(checkpoint.text, old))
    assert "no signature by a trusted key" in holds(site, old.vkey)


def test_no_key_is_handed_to_without_both_signatures(site: Site) -> None:
    site.seal()
    rotate(site)
    (made,) = rotation.published(site.tiles)
    lines = made.proof.splitlines(keepends=True)
    for missing in (-1, -2):
        without = "".join(line for i, line in enumerate(lines) if i != len(lines) + missing)
        with pytest.raises(VerificationError, match="no signature by a trusted key"):
            handover.check(Handover(made.entry, without))
    other = made.entry.replace(b'"reason":"yearly"', b'"reason":"other!"')
    with pytest.raises(VerificationError):
        handover.check(Handover(other, made.proof))


def test_two_handovers_from_one_key_are_refused(tmp_path: Path) -> None:
    """Whoever has the old key may fork the log and hand over to a key of their own: both together show the forgery."""
    site = open_site(tmp_path / "data")
    site.seal()
    fork = tmp_path / "fork"
    first = site.log_key.vkey
    shutil.copytree(site.data, fork)
    rotate(site)
    tiles = TileDir(fork / "tlog")
    key = load(fork / KEY_FILE)
    forged = rotation.rotate(fork, site.engine, Sealer(site.engine, tiles, key), tiles, "eve", "mine", 5)
    assert forged != site.log_key.vkey
    both = [*rotation.published(site.tiles), *rotation.published(tiles)]
    with pytest.raises(VerificationError, match="two handovers start at the same key"):
        handover.follow([first], both)
    site.close()


class FailingDisk(Disk):
    """Fails at the n-th file that is moved into place."""

    def __init__(self, after: int) -> None:
        self.left = after

    def replace(self, source: Path, target: Path) -> None:
        if self.left == 0:
            raise OSError(28, "No space left on device")
        self.left -= 1
        super().replace(source, target)


@pytest.mark.parametrize("after", [0, 1])
def test_a_cut_leaves_one_key_in_force_and_is_taken_up_again(site: Site, after: int) -> None:
    site.seal()
    first = site.log_key.vkey
    with pytest.raises(CountersignError, match="No space left"):
        rotate(site, TileDir(site.tiles.root, FailingDisk(after)))
    more(site)
    assert holds(site, site.log_key.vkey) == ""
    again = open_site(site.data)
    more(again)
    if after == 0:  # the old key is still in force
        assert site.log_key.vkey == first
        rotate(again)
    more(again)
    assert site.log_key.vkey != first
    assert len(rotation.published(again.tiles)) == 1
    assert holds(again, first) == ""
    again.close()


def test_no_reason_no_rotation(site: Site) -> None:
    site.seal()
    before = site.log_key.vkey
    with pytest.raises(UsageError):
        rotation.rotate(site.data, site.engine, site.sealer, site.tiles, "ada", " ", 5)
    assert site.log_key.vkey == before
    assert not (site.data / NEXT_FILE).exists()


def test_by_commands(tmp_path: Path) -> None:
    run, data = CliRunner(), tmp_path / "data"
    open_site(data).close()
    assert run.invoke(app, ["doctor", "--data", str(data)]).exit_code == 0
    site = open_site(data)
    site.seal()
    older = data / "older"
    older.write_bytes(site.tiles.checkpoint() or b"")
    old = str(site.log_key.vkey)
    site.close()
    assert run.invoke(app, ["keys", "rotate", "--reason", "a test", "--data", str(data)]).exit_code == 0
    shown = json.loads(run.invoke(app, ["keys", "show", "--json", "--data", str(data)]).stdout)
    assert [one["was"] for one in shown["handovers"]] == [old]
    for key in (old, shown["vkey"]):
        args = ["verify", "--json", "--key", key, "--since", str(older), "--data", str(data)]
        assert json.loads(run.invoke(app, args).stdout)["ok"]


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "deleted": (lambda path: path.unlink(), "is missing"),
    "emptied": (lambda path: path.write_bytes(b""), "it is not in handovers.json"),
    "an empty list": (lambda path: path.write_bytes(b"[]"), "it is not in handovers.json"),
    "one of two": (lambda path: path.write_bytes(handover.write(handover.read(path.read_bytes())[1:])), "it is not in"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-40]), "cannot be read"),
    "another proof": (
        lambda path: path.write_bytes(
            path.read_bytes().replace(b"\\u2014 ", b"\\u2014 x").replace("— ".encode(), "— x".encode())
        ),
        "no signature by a trusted key",
    ),
}


@pytest.mark.parametrize("how", SPOILT)
def test_handovers_that_are_gone_are_named_wherever_the_site_is_looked_at(tmp_path: Path, how: str) -> None:
    data = tmp_path / "data"
    site = open_site(data)
    site.seal()
    rotate(site)
    rotate(site)
    keys = lambda: [site.log_key.vkey]  # noqa: E731 - rotated
    reads = Verifier(site.tiles, keys, site.engine, site.clock, 100, lambda _record: ())
    reads.read_all()
    assert (reads.state.state, reads.state.problems) == (Standing.VERIFIED, ())
    path = data / "tlog" / "handovers.json"
    before = path.read_bytes()
    spoil, words = SPOILT[how]
    spoil(path)
    reads.read_all()
    assert reads.state.state is Standing.BROKEN
    said = [what for _, what in reads.state.problems]
    assert all(words in what and "restore handovers.json" in what for what in said), said
    (index, *_) = (at for at, _ in reads.state.problems)
    assert fakes.entries(site.engine)[index].kind is Kind.LEDGER_REKEYED
    run = CliRunner()
    for command in (("doctor", "--json"), ("keys", "show", "--json"), ("verify", "--json")):
        done = run.invoke(app, [*command, "--data", str(data)])
        told = f"{done.stdout}{done.exception}"
        assert (done.exit_code, words in told) == (1, True), (command, told)
    path.write_bytes(before)
    reads.read_all()
    assert (reads.state.state, reads.state.problems) == (Standing.VERIFIED, ())
    for command in (("doctor",), ("keys", "show"), ("verify",)):
        assert run.invoke(app, [*command, "--data", str(data)]).exit_code == 0
    site.close()

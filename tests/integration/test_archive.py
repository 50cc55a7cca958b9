"""Old raw alerts go into an archive that strangers' tools check; the log verifies on, replays and rebuilds."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, select, update
from typer.testing import CliRunner

from countersign.bootstrap import Site, open_site
from countersign.cli.main import app
from countersign.errors import ConfigError, EnvironmentFault, ErasedError, UsageError
from countersign.evaluate.replay import replay
from countersign.ledger.verify import Report, verify
from countersign.model.alerts import Delivery
from countersign.store import archiving, evidence, rebuild
from countersign.store import tables as t
from countersign.store.engine import reading, writing
from countersign.store.keys import VKEY_FILE
from countersign.store.ledger_rows import LedgerRows
from countersign.store.tiles import TileDir
from tests.fakes import deliver, wazuh

OLD = 3
"""Deliveries before the archive is made."""


def verified(site: Site) -> Report:
    site.seal()
    return verify(site.tiles, [site.log_key.vkey], record=LedgerRows(site.engine))


def written(
    conn: Connection, site: Site, folder: Path, before_ms: int, unsealed: AbstractContextManager[None] | None = None
) -> archiving.Archived:
    lock = unsealed or site.sealer.locked()
    return archiving.write(conn, folder, site.tiles.root, site.data / VKEY_FILE, before_ms, lock)


def archived(site: Site, folder: Path, before_ms: int) -> archiving.Archived:
    site.seal()
    with reading(site.engine) as conn:
        made = written(conn, site, folder, before_ms)
    with writing(site.engine) as conn:
        return archiving.remove(conn, made, "ada", site.clock.now_ms())


def blobs(site: Site) -> list[str]:
    with reading(site.engine) as conn:
        return list(conn.execute(select(t.evidence.c.digest).where(t.evidence.c.kind == "delivery")).scalars())


@pytest.fixture
def grown(site: Site) -> tuple[Site, int, list[str]]:
    """A site with old deliveries, the time after them, their pieces; then a newer one and one with a waiting message."""
    for number in range(OLD):
        deliver(site, [wazuh(ident=f"old{number}")])
    old = blobs(site)
    deliver(site, [b"{broken", wazuh(ident="beside")])
    between = site.clock.now_ms()
    deliver(site, [wazuh(ident="new")])
    return site, between, old


def test_old_raw_alerts_leave_and_everything_still_holds(grown: tuple[Site, int, list[str]], tmp_path: Path) -> None:
    site, between, old = grown
    made = archived(site, tmp_path / "archive", between)
    assert (made.pieces, made.removed) == (OLD, OLD)
    assert not set(old) & set(blobs(site))
    assert len(blobs(site)) == 2  # the newer one, and the one in which a message waits
    report = verified(site)
    assert report.ok, report.problems
    assert report.checked["erased_evidence"] == OLD
    with reading(site.engine) as conn:
        assert replay(conn).problems == ()
        with pytest.raises(ErasedError, match=f"archived by entry {made.entry}"):
            evidence.get(conn, old[0], Delivery)
    with writing(site.engine) as conn:
        before = rebuild.digests(conn)
        rebuild.rebuild(conn)
        assert rebuild.digests(conn) == before
    assert archived(site, tmp_path / "again", between).removed == 0
    deliver(site, [wazuh(ident="old0")])  # known by its own id: it is not taken in a second time
    assert verified(site).ok


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_an_archive_is_checked_by_sha256sum_alone(grown: tuple[Site, int, list[str]], tmp_path: Path) -> None:
    site, between, old = grown
    folder = tmp_path / "archive"
    archived(site, folder, between)
    done = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, check=False)
    assert done.returncode == 0
    assert sorted(path.name for path in (folder / "evidence").iterdir()) == sorted(old)
    piece = (folder / "evidence" / old[0]).read_bytes()
    assert len(evidence.unpack(old[0], piece[:16], piece[16:], Delivery).raws) == 1
    command = [shutil.which("sha256sum") or "", *old]
    said = subprocess.run(command, cwd=folder / "evidence", check=True, capture_output=True, text=True).stdout
    assert said == "".join(f"{digest}  {digest}\n" for digest in old)


def test_a_piece_that_is_missing_without_an_entry_stays_a_problem(
    grown: tuple[Site, int, list[str]], tmp_path: Path
) -> None:
    site, between, old = grown
    archived(site, tmp_path / "archive", between)
    with writing(site.engine) as conn:
        conn.execute(delete(t.evidence).where(t.evidence.c.digest == blobs(site)[0]))
    assert "it was deleted" in verified(site).problems[0].what
    assert old


def test_a_damaged_archive_removes_nothing(grown: tuple[Site, int, list[str]], tmp_path: Path) -> None:
    site, between, old = grown
    site.seal()
    folder = tmp_path / "archive"
    with reading(site.engine) as conn:
        made = written(conn, site, folder, between)
    piece = folder / "evidence" / old[1]
    piece.write_bytes(piece.read_bytes()[:-1])
    with pytest.raises(EnvironmentFault, match="damaged; nothing was removed"), writing(site.engine) as conn:
        archiving.remove(conn, made, "ada", site.clock.now_ms())
    assert set(old) <= set(blobs(site))
    assert verified(site).checked["erased_evidence"] == 0
    with reading(site.engine) as conn, pytest.raises(UsageError, match="is there already"):
        written(conn, site, folder, between)


def test_a_log_that_grows_while_it_is_copied_is_archived_whole(site: Site, tmp_path: Path) -> None:
    """Between the two passes a tile becomes full, its partial ones go, and the checkpoint moves on."""
    more(site, 200)

    @contextmanager
    def unsealed() -> Iterator[None]:
        more(site, 300)
        with site.sealer.locked():
            yield

    with reading(site.engine) as conn:
        written(conn, site, tmp_path / "archive", 1, unsealed())
    copied = TileDir(tmp_path / "archive" / "tlog")
    report = verify(copied, [site.log_key.vkey])
    assert (report.ok, copied.checkpoint()) == (True, site.tiles.checkpoint()), report.problems
    assert report.size > 500


def more(site: Site, entries: int) -> None:
    for _ in range(entries):
        site.commands.issue_token("wazuh")
    site.seal()


def test_nothing_younger_than_the_retention_time_is_removed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    site = open_site(data)
    deliver(site, [wazuh(ident="today")])
    site.close()
    run = CliRunner()
    words = ["archive", str(tmp_path / "a"), "--before", "2999-01-01", "--data", str(data)]
    refused = run.invoke(app, [*words, "--remove"])
    assert "are kept for 183 days" in str(refused.exception)
    assert json.loads(run.invoke(app, [*words, "--json"]).stdout)["pieces"] == 1
    (data / "countersign.toml").write_text("[retention]\nraw_days = 90\n")
    with pytest.raises(ConfigError, match="183"):
        open_site(data)


def test_a_row_that_says_an_erased_piece_is_there_again_is_named(grown: tuple[Site, int, list[str]], tmp_path: Path) -> None:
    site, between, old = grown
    archived(site, tmp_path / "archive", between)
    with writing(site.engine) as conn:
        one = blobs(site)[0]
        conn.execute(update(t.evidence).where(t.evidence.c.digest == one).values(digest=old[0]))
    found = [problem.what for problem in verified(site).problems]
    assert any("says that it was taken away" in what or "does not match" in what for what in found)

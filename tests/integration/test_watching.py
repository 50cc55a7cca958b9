"""The reading in the background: what is newly sealed, everything over and over, and tampering that shows by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from countersign.approvals.record.judge import Approvals
from countersign.approvals.status import Status
from countersign.bootstrap import Site
from countersign.errors import EnvironmentFault
from countersign.ledger.follow import Follower
from countersign.ledger.note import Checkpoint
from countersign.ledger.record import Row
from countersign.ledger.tiles import entries_path, tile_path
from countersign.model.entries import Actor
from countersign.model.standing import Standing
from countersign.running import Runner
from countersign.store import accounts, act, rotation
from countersign.store import tables as t
from countersign.store.engine import writing
from countersign.watching import Pace, Stopped, Verifier
from tests.fakes import deliver, wazuh
from tests.integration.test_proposals import Room
from tests.integration.test_running import approved, folder, switched
from tests.ledger_log import KEY, OTHER_KEY, MemoryLog, blobs
from tests.passkey_signing import enrol

__all__ = ["folder"]


def verifier(site: Site) -> Verifier:
    return Verifier(
        site.tiles, lambda: [site.log_key.vkey], site.engine, site.clock, 100, lambda record: [Approvals(record.matter)]
    )


def grow(site: Site, first: int, number: int = 20) -> None:
    deliver(site, [wazuh(f"{i}", host=f"h-{i}", rule=f"6{i}", data={}) for i in range(first, first + number)])
    site.seal()


def flip(path: Path, at: int = 40) -> Callable[[], None]:
    """Change one byte of a file; returns what mends it."""
    before = path.read_bytes()
    path.write_bytes(before[:at] + bytes([before[at] ^ 1]) + before[at + 1 :])
    return lambda: path.write_bytes(before) and None


def bundle(site: Site) -> Path:
    head = site.sealer.checkpoint()
    assert head is not None
    return site.data / "tlog" / entries_path(0, min(256, head.size))


def change_row(site: Site) -> None:
    with writing(site.engine) as conn:
        conn.execute(update(t.entries).where(t.entries.c.idx == 9).values(bytes=b'{"forged":1}'))


def change_beside(site: Site) -> None:
    with writing(site.engine) as conn:
        conn.execute(update(t.entries).where(t.entries.c.idx == 9).values(subject="nobody"))


def delete_row(site: Site) -> None:
    with writing(site.engine) as conn:
        conn.execute(delete(t.entries).where(t.entries.c.idx == 9))


def let_in(site: Site) -> None:
    """Whoever holds the log's key lets somebody approve whom no approver signed for; the log is whole and signed."""
    enrol(site, "ada")
    with writing(site.engine) as conn:
        eve = act.person(conn, "eve")
        accounts.grant(conn, eve.id, ["approver"], Actor("system", "countersign"), site.clock.now_ms())
    site.seal()


DRILLS: dict[str, Callable[[Site], object]] = {
    "a byte of an entry": lambda site: flip(bundle(site), 400),
    "a byte of a tile": lambda site: flip(next((site.data / "tlog" / "tile" / "0").rglob("*.p/*"))),
    "a byte of the checkpoint": lambda site: flip(site.data / "tlog" / "checkpoint", 30),
    "no checkpoint": lambda site: (site.data / "tlog" / "checkpoint").unlink(),
    "a row": change_row,
    "what stands beside a row": change_beside,
    "a row deleted": delete_row,
    "somebody let in": let_in,
}


@pytest.mark.parametrize("drill", DRILLS)
def test_tampering_shows_with_the_next_reading(site: Site, drill: str) -> None:
    grow(site, 0)
    reads = verifier(site)
    reads.read_all()
    assert reads.state.state is Standing.VERIFIED
    assert reads.state.upto == reads.state.whole_size > 20
    DRILLS[drill](site)
    reads.read_all()
    assert reads.state.state is Standing.BROKEN
    assert reads.state.problems
    if drill == "somebody let in":
        assert "gives approver without an approved change" in reads.state.problems[0][1]


def test_a_site_where_people_sign_and_actions_run_is_verified_as_it_is(site: Site, folder: Path) -> None:
    room = Room(switched(site, folder))
    number = approved(room)
    assert Runner(site).step() == 1
    assert room.state(number) == Status.PROBED_OK.value
    reads = verifier(site)
    reads.read_all()
    assert (reads.state.state, reads.state.problems) == (Standing.VERIFIED, ())


def test_what_is_mended_is_verified_again(site: Site) -> None:
    grow(site, 0)
    reads = verifier(site)
    reads.read_all()
    mend = flip(bundle(site), 400)
    reads.read_all()
    assert reads.state.state is Standing.BROKEN
    mend()
    reads.read_all()
    assert (reads.state.state, reads.state.problems) == (Standing.VERIFIED, ())


def test_what_is_newly_sealed_is_checked_at_once(site: Site) -> None:
    grow(site, 0)
    reads = verifier(site)
    reads.follow()
    reads.read_all()
    before = reads.state.upto
    for start in range(100, 500, 100):  # over the edge of a full tile
        grow(site, start, 100)
        reads.follow()
        assert reads.state.state is Standing.VERIFIED
    assert reads.state.upto > before + 400
    assert reads.state.whole_size == before, "nothing of before was read again"
    assert reads.state.upto == (site.sealer.checkpoint() or Checkpoint("", 0, b"")).size


def test_the_key_may_be_rotated_meanwhile(site: Site) -> None:
    grow(site, 0)
    reads = verifier(site)
    reads.read_all()
    rotation.rotate(site.data, site.engine, site.sealer, site.tiles, "ada", "drill", site.clock.now_ms())
    reads.follow()
    assert reads.state.state is Standing.VERIFIED
    grow(site, 100)
    reads.follow()
    reads.read_all()
    assert (reads.state.state, reads.state.problems) == (Standing.VERIFIED, ())


def test_a_row_changed_before_it_was_followed_shows_without_a_reading_of_everything(site: Site) -> None:
    grow(site, 0)
    reads = verifier(site)
    reads.follow()
    reads.read_all()
    size = reads.state.upto
    grow(site, 100)
    with writing(site.engine) as conn:
        conn.execute(update(t.entries).where(t.entries.c.idx == size + 1).values(bytes=b'{"forged":1}'))
    reads.follow()
    assert reads.state.state is Standing.BROKEN
    assert reads.state.problems[0][0] == size + 1
    assert reads.state.upto == size, "nothing beyond counts as verified"


def test_a_database_that_is_away_is_not_called_broken(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(site, 0)
    reads = verifier(site)
    reads.read_all()

    def away(_self: Verifier) -> None:
        reads.stop()
        raise EnvironmentFault("database cannot be opened")

    monkeypatch.setattr(Verifier, "read_all", away)
    with pytest.raises(Stopped):
        reads._round()
    assert (reads.state.state, reads.state.why) == (Standing.UNKNOWN, "database cannot be opened")


def test_it_runs_beside_a_service_and_ends_with_it(site: Site) -> None:
    grow(site, 0)
    reads = verifier(site)
    done = threading.Event()
    tell = reads._tell
    reads._tell = lambda upto: (tell(upto), done.set())  # type: ignore[method-assign, func-returns-value, assignment]
    reads.start()
    assert done.wait(60)
    reads.stop()
    assert not reads.is_alive()
    assert reads.state.state is Standing.VERIFIED


def test_a_stop_ends_a_reading_in_the_middle() -> None:
    stopping = threading.Event()
    stopping.set()
    pace = Pace(1, stopping)

    def read_for_ever() -> None:
        while True:
            pace()

    with pytest.raises(Stopped):
        read_for_ever()


# --- following, pure


def followed(log: MemoryLog, entries: list[bytes]) -> Follower:
    def rows(start: int, stop: int) -> list[Row]:
        return [Row(i, "alert.received", f"s{i}", i, entries[i]) for i in range(start, min(stop, len(entries)))]

    return Follower(log, lambda: [KEY.vkey], rows)


def grown(log: MemoryLog, entries: list[bytes]) -> None:
    log.files = MemoryLog(entries).files


@pytest.mark.parametrize("steps", [(1, 2, 3), (255, 256, 257), (10, 600, 601), (256, 512, 70_000)])
def test_any_way_of_growing_is_followed(steps: tuple[int, ...]) -> None:
    entries = blobs(steps[-1])
    log = MemoryLog(entries[: steps[0]])
    follower = followed(log, entries)
    for size in steps:
        grown(log, entries[:size])
        assert follower.step()
        assert (follower.problems, follower.size) == ((), size)
        assert not follower.step()


def fork(log: MemoryLog) -> None:
    grown(log, [*blobs(300, text="other"), *blobs(20, 300)])


def shrink(log: MemoryLog) -> None:
    grown(log, blobs(290))


def resign(log: MemoryLog) -> None:
    log.files = MemoryLog(blobs(320), OTHER_KEY).files


def spoil(path: str) -> Callable[[MemoryLog], None]:
    def act(log: MemoryLog) -> None:
        grown(log, blobs(600))
        data = log.files[path]
        log.files[path] = data[:-1] + bytes([data[-1] ^ 1])

    return act


def lose(path: str) -> Callable[[MemoryLog], None]:
    def act(log: MemoryLog) -> None:
        grown(log, blobs(600))
        del log.files[path]

    return act


WRONG: dict[str, Callable[[MemoryLog], None]] = {
    "fork": fork,
    "rollback": shrink,
    "another key": resign,
    "no checkpoint": lambda log: log.files.pop("checkpoint") and None,
    "entry": spoil(entries_path(1)),
    "tile": spoil(tile_path(0, 1)),
    "edge entry": spoil(entries_path(2, 88)),
    "lost bundle": lose(entries_path(2, 88)),
    "lost tile": lose(tile_path(0, 2, 88)),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_does_not_go_on_as_it_should_is_named_and_not_taken(wrong: str) -> None:
    log, entries = MemoryLog(blobs(300)), blobs(600)
    follower = followed(log, entries)
    follower.step()
    WRONG[wrong](log)
    follower.step()
    assert follower.problems
    assert follower.size == 300
    grown(log, blobs(600))
    follower.step()
    assert (follower.problems, follower.size) == ((), 600)

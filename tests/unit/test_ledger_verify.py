"""What verify says in particular situations."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from countersign.errors import VerificationError
from countersign.ledger.canonical import encode
from countersign.ledger.findings import PROBLEMS_MAX
from countersign.ledger.note import Checkpoint
from countersign.ledger.record import NoRecord, Row
from countersign.ledger.tiles import entries_path, tile_path
from countersign.ledger.verify import Report, verify
from tests.ledger_log import KEY, OTHER_KEY, MemoryLog, MemoryRecord, blobs, entry, flip, indices

ENTRIES = blobs(300)
KEYS = [KEY.vkey]


def said(report: Report) -> str:
    return "\n".join(f"{p.index}: {p.what}" for p in report.problems)


def test_the_empty_log_verifies() -> None:
    report = verify(MemoryLog(), KEYS, record=MemoryRecord([]), since=MemoryLog().files["checkpoint"])
    assert report.ok, said(report)
    assert (report.size, report.root) == (0, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")


def test_a_foreign_signature_is_a_problem_but_the_entries_are_still_checked() -> None:
    log = MemoryLog(ENTRIES, OTHER_KEY)
    log.files[entries_path(0)] = flip(log.files[entries_path(0)], 8 * 40)
    report = verify(log, KEYS)
    assert "no signature by a trusted key" in said(report)
    assert "entry 0 was changed" in said(report)
    assert report.checked["checkpoints"] == 0


def test_without_a_checkpoint_all_rows_are_unsealed() -> None:
    log = MemoryLog(ENTRIES)
    del log.files["checkpoint"]
    report = verify(log, KEYS, record=MemoryRecord(ENTRIES))
    assert said(report) == "None: checkpoint is missing"
    assert report.checked["unsealed_rows"] == 300


def test_unsealed_rows_are_counted_not_blamed() -> None:
    report = verify(MemoryLog(ENTRIES[:200]), KEYS, record=MemoryRecord(ENTRIES))
    assert report.ok
    assert (report.size, report.checked["unsealed_rows"], report.checked["database_rows"]) == (200, 100, 300)


def test_unsealed_rows_must_follow_each_other_and_be_entries() -> None:
    record = MemoryRecord(ENTRIES)
    del record.entries[250]
    record.entries[260] = Row(260, "alert.received", "s260", 260, b"{}")
    report = verify(MemoryLog(ENTRIES[:200]), KEYS, record=record)
    assert "250: database: entries 250 to 250 are missing" in said(report)
    assert "260: database: entry 260: not an entry" in said(report)
    assert indices(report.problems) == {250, 260}


@pytest.mark.parametrize(("size", "named"), [(305, 300), (290, 290)])
def test_the_head_must_agree_with_the_rows(size: int, named: int) -> None:
    record = MemoryRecord(ENTRIES)
    record.size = size
    report = verify(MemoryLog(ENTRIES[:200]), KEYS, record=record)
    assert indices(report.problems) == {named}


def test_a_database_that_is_not_there_is_named() -> None:
    report = verify(MemoryLog(ENTRIES), KEYS, record=NoRecord())
    assert said(report) == "0: database: ends before entry 0, 300 are sealed: it was rolled back or truncated"


def test_a_rolled_back_database_is_one_problem() -> None:
    report = verify(MemoryLog(ENTRIES), KEYS, record=MemoryRecord(ENTRIES[:256]))
    assert said(report) == "256: database: ends before entry 256, 300 are sealed: it was rolled back or truncated"


class Damaged(MemoryRecord):
    """A database file with a bad page."""

    def rows(self) -> Iterator[Row]:
        yield from list(super().rows())[:270]
        raise VerificationError("database is damaged (malformed)")


def test_a_database_that_cannot_be_read_on_is_one_problem() -> None:
    report = verify(MemoryLog(ENTRIES), KEYS, record=Damaged(ENTRIES))
    assert said(report).startswith("270: database: cannot be read after entry 269: database is damaged")
    assert len(report.problems) == 1


def test_columns_beside_an_entry_must_say_what_it_says() -> None:
    record = MemoryRecord(ENTRIES)
    record.entries[7] = Row(7, "case.disposed", "s7", 7, ENTRIES[7])
    report = verify(MemoryLog(ENTRIES), KEYS, record=record)
    assert said(report).startswith("7: database: kind, subject or time beside entry 7 was changed")


def test_evidence_is_checked_and_the_entry_that_rests_on_it_named() -> None:
    good = hashlib.sha256(b"salt" + b"matter").hexdigest()
    erased = "ab" * 32
    entries = [*ENTRIES[:5], encode(entry(5, good)), encode(entry(6, erased))]
    record = MemoryRecord(entries)
    record.pieces = [(good, b"salt", b"matter")]
    report = verify(MemoryLog(entries), KEYS, record=record)
    assert report.ok
    assert report.checked["evidence"] == 1
    record.pieces = [(good, b"salt", b"mutter")]
    report = verify(MemoryLog(entries), KEYS, record=record)
    assert f"5: evidence {good} of entry 5 does not match its commitment" in said(report)


def test_an_entry_that_is_sealed_but_no_entry_is_named() -> None:
    entries = [*ENTRIES[:3], b'{"hello":"world"}', *ENTRIES[3:5]]
    report = verify(MemoryLog(entries), KEYS)
    assert said(report).startswith("3: entry 3: not an entry")
    assert len(report.problems) == 1


def test_a_signed_checkpoint_over_another_root_is_refused() -> None:
    log = MemoryLog(ENTRIES)
    log.sign(Checkpoint(KEY.name, 300, bytes(32)))
    report = verify(log, KEYS)
    assert "root recomputed from the hash tiles" in said(report)
    assert "root recomputed from the entries" in said(report)


def test_a_changed_upper_tile_is_named_with_the_entries_it_covers() -> None:
    log = MemoryLog(blobs(600))
    path = tile_path(1, 0, 2)
    log.files[path] = flip(log.files[path], 256 + 9)
    report = verify(log, KEYS)
    assert said(report) == f"256: {path}: hash 1 is not that of entries 256 to 511"


def test_lost_bundle_and_tile_are_bridged_by_the_database() -> None:
    log = MemoryLog(blobs(600))
    for path in (entries_path(0), tile_path(0, 0)):
        del log.files[path]
    assert "cannot be recomputed" in said(verify(log, KEYS))
    bridged = verify(log, KEYS, record=MemoryRecord(blobs(600)))
    assert indices(bridged.problems) == {0}
    assert bridged.checked["entries"] == 344


def test_an_older_checkpoint_of_another_log_is_refused() -> None:
    report = verify(MemoryLog(ENTRIES), KEYS, since=MemoryLog(ENTRIES, OTHER_KEY).files["checkpoint"])
    assert "older checkpoint: no signature by a trusted key" in said(report)
    assert "older checkpoint: not a signed note" in said(verify(MemoryLog(ENTRIES), KEYS, since=b"nonsense"))


def test_the_list_of_problems_is_limited() -> None:
    size = PROBLEMS_MAX + 300
    log = MemoryLog([f"entry {number}".encode() for number in range(size)])
    report = verify(log, KEYS)
    assert len(report.problems) == PROBLEMS_MAX + 1
    assert report.problems[-1].what == "300 more problems are not listed"


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    verify(MemoryLog(ENTRIES), KEYS, progress=lambda done, size: told.append((done, size)))
    assert told == [(256, 300), (300, 300)]

"""Whatever is done to a published log or to the database beside it, verify sees it and names the entry."""

from __future__ import annotations

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.ledger.tiles import TILE_WIDTH, decode_bundle, encode_bundle, entries_path
from countersign.ledger.verify import Report, verify
from tests.examples import examples
from tests.ledger_log import KEY, MemoryLog, MemoryRecord, blobs, flip, indices

KEYS = [KEY.vkey]
sizes = st.sampled_from([1, 2, 3, 100, 255, 256, 257, 300, 512, 600])
entries = cache(blobs)


@cache
def built(size: int) -> MemoryLog:
    return MemoryLog(entries(size))


def log_of(size: int) -> MemoryLog:
    log = MemoryLog()
    log.files = dict(built(size).files)
    return log


def rewrite(log: MemoryLog, size: int, changed: list[bytes]) -> None:
    """Replace all bundles by those of ``changed``, cut to the widths that a reader of ``size`` asks for."""
    for start in range(0, size, TILE_WIDTH):
        part = changed[start : start + min(TILE_WIDTH, size - start)]
        path = entries_path(start // TILE_WIDTH, min(TILE_WIDTH, size - start))
        log.files[path] = encode_bundle(part) if part else b""


def check(log: MemoryLog, record: MemoryRecord | None = None) -> Report:
    report = verify(log, KEYS, record=record)
    assert report.ok == (not report.problems)
    return report


@given(sizes)
@settings(deadline=None)
def test_an_untouched_log_verifies(size: int) -> None:
    report = check(log_of(size), MemoryRecord(entries(size)))
    assert report.ok, report.problems
    assert (report.size, report.checked["entries"], report.checked["database_rows"]) == (size, size, size)


@given(sizes, st.data())
@settings(max_examples=examples(150), deadline=None)
def test_any_flipped_bit_of_any_file_is_seen(size: int, data: st.DataObject) -> None:
    log = log_of(size)
    path = data.draw(st.sampled_from(sorted(log.files)))
    log.files[path] = flip(log.files[path], data.draw(st.integers(0, 8 * len(log.files[path]) - 1)))
    report = check(log)
    assert not report.ok


@given(sizes, st.data())
@settings(max_examples=examples(80), deadline=None)
def test_a_flipped_bit_in_an_entry_names_that_entry_alone(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    changed = list(entries(size))
    changed[index] = flip(changed[index], data.draw(st.integers(0, 8 * len(changed[index]) - 1)))
    log = log_of(size)
    rewrite(log, size, changed)
    report = check(log)
    assert indices(report.problems) - {None} == {index}
    assert any(f"entry {index} was changed" in problem.what for problem in report.problems)


@given(sizes, st.data())
@settings(max_examples=examples(60), deadline=None)
def test_a_flipped_leaf_hash_is_told_from_a_changed_entry(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    log = log_of(size)
    path = next(p for p in log.files if p.startswith(f"tile/0/{index // TILE_WIDTH:03d}"))
    log.files[path] = flip(log.files[path], 256 * (index % TILE_WIDTH) + data.draw(st.integers(0, 255)))
    report = check(log)
    assert any(p.index == index and f"leaf hash {index} was changed" in p.what for p in report.problems)


@given(sizes.filter(lambda n: n > 1), st.data())
@settings(max_examples=examples(80), deadline=None)
def test_two_swapped_entries_are_named(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, size - 2))
    last = min(size, first // TILE_WIDTH * TILE_WIDTH + TILE_WIDTH) - 1
    second = data.draw(st.integers(first, last).filter(lambda n: n != first)) if last > first else first + 1
    changed = list(entries(size))
    changed[first], changed[second] = changed[second], changed[first]
    log = log_of(size)
    rewrite(log, size, changed)
    report = check(log)
    assert {first, None} <= indices(report.problems)
    if first // TILE_WIDTH == second // TILE_WIDTH and second - first > 1:
        assert any(f"entries {first} and {second} were swapped" in problem.what for problem in report.problems)


@given(sizes.filter(lambda n: n > 1), st.data())
@settings(max_examples=examples(80), deadline=None)
def test_a_deleted_entry_is_named_and_not_all_those_that_moved_up(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    changed = list(entries(size))
    del changed[index]
    log = log_of(size)
    rewrite(log, size, changed)
    report = check(log)
    assert not report.ok
    assert index in indices(report.problems)
    assert len(indices(report.problems) - {None}) <= 3


@given(sizes, st.data())
@settings(max_examples=examples(60), deadline=None)
def test_an_inserted_entry_is_named(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    changed = list(entries(size))
    changed.insert(index, blobs(1, 10_000)[0])
    log = log_of(size)
    rewrite(log, size, changed)
    report = check(log)
    assert index in indices(report.problems)
    assert len(indices(report.problems) - {None}) <= 3


@given(sizes, st.data())
@settings(max_examples=examples(80), deadline=None)
def test_a_truncated_file_is_named(size: int, data: st.DataObject) -> None:
    log = log_of(size)
    path = data.draw(st.sampled_from([p for p in sorted(log.files) if p != "checkpoint"]))
    keep = data.draw(st.integers(0, len(log.files[path]) - 1))
    entries_kept = len(decode_bundle(log.files[path][:keep])[0])
    log.files[path] = log.files[path][:keep]
    report = check(log)
    assert not report.ok
    if path.startswith("tile/entries/"):
        number = int(path.removeprefix("tile/entries/")[:3])
        assert number * TILE_WIDTH + entries_kept in indices(report.problems)


@given(sizes, st.data())
@settings(max_examples=examples(60), deadline=None)
def test_a_missing_file_is_named(size: int, data: st.DataObject) -> None:
    log = log_of(size)
    path = data.draw(st.sampled_from(sorted(log.files)))
    del log.files[path]
    assert any("missing" in problem.what for problem in check(log).problems)


@given(sizes, st.data())
@settings(max_examples=examples(80), deadline=None)
def test_a_rewritten_history_is_seen_by_whoever_holds_an_older_checkpoint(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size))
    held = MemoryLog(entries(old)).files["checkpoint"]
    assert verify(log_of(size), KEYS, since=held).ok
    index = data.draw(st.integers(0, old - 1))
    rewritten = MemoryLog([*entries(size)[:index], blobs(1, 10_000)[0], *entries(size)[index + 1 :]])
    assert verify(rewritten, KEYS).ok  # consistent in itself: only the older checkpoint can tell
    report = verify(rewritten, KEYS, since=held)
    assert [p.what for p in report.problems if "does not extend" in p.what]
    shorter = MemoryLog(entries(old - 1))
    assert any("truncated or rolled back" in p.what for p in verify(shorter, KEYS, since=held).problems)


row_change = st.sampled_from(["flip", "delete", "swap", "truncate", "renumber"])


@given(sizes, row_change, st.data())
@settings(max_examples=examples(150), deadline=None)
def test_whatever_is_done_to_the_database_names_the_entry(size: int, change: str, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    record = MemoryRecord(entries(size))
    rows = record.entries
    if change == "flip":
        rows[index] = rows[index].__class__(
            index, rows[index].kind, rows[index].subject, rows[index].time, flip(rows[index].data, 20)
        )
    elif change == "delete":
        del rows[index]
    elif change == "truncate":
        for number in range(index, size):
            del rows[number]
    elif change == "renumber":
        for number in range(index, size - 1):
            record.put(number, entries(size)[number + 1])
        del rows[size - 1]
    else:
        other = (index + 1) % size
        record.put(index, entries(size)[other])
        record.put(other, entries(size)[index])
        if size == 1:
            return
        index = min(index, other)
    report = check(log_of(size), record)
    assert any(p.index == index and p.what.startswith("database:") for p in report.problems), report.problems
    assert len(indices(report.problems)) <= 3

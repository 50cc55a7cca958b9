"""Raw alerts that are older than the site keeps them: copied into an archive, then taken out of the database.

An archive is a folder that needs nothing of ours: the published log, its key, and one file per piece of evidence, named by
its commitment, which is the SHA-256 of the file (salt ‖ bytes). Decisions and records stay in the database, so verdicts
replay and the read side can be rebuilt; the log goes on verifying, since ``evidence.archived`` says what went where.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import msgspec
from sqlalchemy import Connection, delete, select

from countersign.errors import EnvironmentFault, UsageError
from countersign.ledger import erasures
from countersign.model.entries import Entry, Kind
from countersign.store import erased, ledger
from countersign.store import tables as t
from countersign.store.act import person

SUMS = "SHA256SUMS"
EVIDENCE = "evidence"
LOG = "tlog"


class Archived(msgspec.Struct, frozen=True):
    """pieces, size: how many pieces of evidence were written and their bytes. sums: SHA-256 of the archive's list of sums.
    removed: how many of them left the database; entry: the first that says so, -1 when nothing left."""

    folder: str
    before_ms: int
    pieces: int
    size: int
    sums: str
    removed: int = 0
    entry: int = -1


def old_deliveries(conn: Connection, before_ms: int) -> list[str]:
    """Commitments of raw deliveries received before a time, which are still here and no quarantined message waits in."""
    waiting = select(t.quarantine.c.blob).where(t.quarantine.c.state == "waiting").distinct()
    kept = set(conn.execute(waiting).scalars()) | set(conn.execute(select(t.inbox.c.blob)).scalars())
    here = set(conn.execute(select(t.evidence.c.digest).where(t.evidence.c.kind == "delivery")).scalars())
    received = ledger.stream_kind(conn, Kind.ALERT_RECEIVED)
    instead = {row.digest: row.instead for row in conn.execute(select(t.erased_evidence))}
    newest: dict[str, int] = {}  # the same bytes may have come twice
    for _, entry in received:
        blob = instead.get(entry.body["blob"], entry.body["blob"])
        newest[blob] = max(entry.time, newest.get(blob, 0))
    return sorted(blob for blob, time in newest.items() if time < before_ms and blob in here and blob not in kept)


def write(
    conn: Connection, folder: Path, published: Path, vkey: Path, before_ms: int, unsealed: AbstractContextManager[None]
) -> Archived:
    """Write an archive into a new folder, whole or not at all. unsealed: while it lasts, nobody seals. Raises UsageError,
    EnvironmentFault."""
    if folder.exists():
        raise UsageError("archive is there already", where=str(folder), todo="name a folder that does not exist")
    made = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(made, ignore_errors=True)
    try:
        (made / EVIDENCE).mkdir(parents=True)
        _copy_log(published, made / LOG, unsealed)
        shutil.copy(vkey, made / vkey.name)
        size = sum(_write(made / EVIDENCE / digest, data) for digest, data in _pieces(conn, before_ms))
        sums = _sums(made)
        _write(made / SUMS, sums)
        _flush(made)
        made.replace(folder)
        _flush_folder(folder.parent)
    except OSError as error:
        shutil.rmtree(made, ignore_errors=True)
        what = f"archive cannot be written ({error.strerror})"
        raise EnvironmentFault(what, where=str(folder), todo="check disk and rights; nothing was removed") from error
    pieces = len(list((folder / EVIDENCE).iterdir()))
    return Archived(str(folder), before_ms, pieces, size, hashlib.sha256(sums).hexdigest())


def remove(conn: Connection, made: Archived, by: str, now_ms: int) -> Archived:
    """Take the pieces that an archive holds out of the database, with the entries that say so. Each is read back from the
    archive first. Raises EnvironmentFault when one is not there whole: then nothing is removed."""
    first, _ = ledger.lock_head(conn)
    folder = Path(made.folder) / EVIDENCE
    gone = [digest for digest in old_deliveries(conn, made.before_ms) if _whole(folder / digest, digest)]
    if not gone:
        return made
    shared = {"before": made.before_ms, "sums": made.sums}
    said = [
        Entry(Kind.EVIDENCE_ARCHIVED, now_ms, person(conn, by), "delivery", "command", body)
        for body in erasures.archived(shared, gone)
    ]
    ledger.append(conn, [(entry, "") for entry in said])
    for number, entry in enumerate(said, first):
        erased.apply(conn, entry, number)
    for digest in gone:
        conn.execute(delete(t.evidence).where(t.evidence.c.digest == digest))
    return msgspec.structs.replace(made, removed=len(gone), entry=first)


def _pieces(conn: Connection, before_ms: int) -> Iterator[tuple[str, bytes]]:
    for digest in old_deliveries(conn, before_ms):
        row = conn.execute(select(t.evidence.c.salt, t.evidence.c.bytes).where(t.evidence.c.digest == digest)).one()
        yield digest, bytes(row.salt) + bytes(row.bytes)


def _copy_log(published: Path, target: Path, unsealed: AbstractContextManager[None]) -> None:
    """Copy a log that goes on growing: what is whole never changes, so that little is left to copy once nobody seals."""
    _copy_missing(published, target, growing=True)
    with unsealed:
        _copy_missing(published, target, growing=False)
        for path in published.iterdir():
            if path.is_file() and not path.name.startswith("."):  # checkpoints, and what else stands beside the tiles
                shutil.copy(path, target / path.name)


def _copy_missing(published: Path, target: Path, *, growing: bool) -> None:
    """growing: a partial tile may be replaced by a fuller one at any moment."""
    gone = (FileNotFoundError,) if growing else ()
    for place, folders, names in os.walk(published):
        folders[:] = [name for name in folders if not name.startswith(".")]
        copied = target / Path(place).relative_to(published)
        copied.mkdir(parents=True, exist_ok=True)
        for name in names:
            if not name.startswith(".") and not (copied / name).exists():
                with suppress(*gone):
                    shutil.copy(Path(place) / name, copied / name)


def _whole(path: Path, digest: str) -> bool:
    """Whether the archive holds this piece; one that was received again since is not in it, and stays. Raises
    EnvironmentFault when it is damaged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise EnvironmentFault(f"archive cannot be read ({error.strerror})", where=str(path)) from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise EnvironmentFault("archived piece is damaged; nothing was removed", where=str(path), todo="archive anew")
    return True


def _write(path: Path, data: bytes) -> int:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return len(data)


def _sums(folder: Path) -> bytes:
    """As ``sha256sum -c`` reads them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" for path in files]
    return "".join(lines).encode()


def _flush(folder: Path) -> None:
    for path in [folder, *(one for one in folder.rglob("*") if one.is_dir())]:
        _flush_folder(path)


def _flush_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

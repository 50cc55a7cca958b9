"""What a witness remembers: which logs it trusts, and the last checkpoint that it cosigned of each. One SQLite file.

Check and update are one transaction that holds the write lock from its start, flushed to disk before the answer goes out: a
size that was cosigned is never forgotten, whatever comes at once and whenever the process is killed. A book that is gone is
not begun anew under the same key, since what that key has cosigned would be forgotten.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from countersign.errors import ConfigError, ConflictError, EnvironmentFault
from countersign.ledger.cosignature import WitnessKey, cosign, signature_line, with_signatures
from countersign.ledger.note import (
    Checkpoint,
    Note,
    Signature,
    VerifierKey,
    b64,
    is_key_name,
    parse_checkpoint,
    parse_vkey,
    split_note,
)
from countersign.ledger.witness import (
    INCONSISTENT,
    Request,
    WitnessRefusal,
    check_extends,
    check_signed,
    origin_hash,
    parse_request,
)
from countersign.store.keys import LogKey, create_private
from countersign.store.keys import load as load_key

KEY_FILE = "keys/witness.key"
BOOK_FILE = "witness.sqlite"
BUSY_S = 10.0
EVIDENCE_MAX = 64
"""Most refused checkpoints kept of one log, of those that contradict and of the others: anyone may send what it signed."""
UNSHOWN = "nothing shown: "
"""Before the reason of a checkpoint that came with a proof that leads nowhere: it may be a true one."""
_SCHEMA = """
CREATE TABLE about (key TEXT NOT NULL);
CREATE TABLE logs (origin TEXT NOT NULL, vkey TEXT NOT NULL, PRIMARY KEY (origin, vkey));
CREATE TABLE heads (origin TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, at_s INTEGER NOT NULL,
                    note BLOB NOT NULL);
CREATE TABLE refused (id INTEGER PRIMARY KEY, origin TEXT NOT NULL, at_s INTEGER NOT NULL, why TEXT NOT NULL,
                      note BLOB NOT NULL);
"""
Clock = Callable[[], int]
"""Seconds since the epoch."""


class Known(NamedTuple):
    """A log that is trusted. size, at_s: of the last checkpoint cosigned, 0 before the first. refused: checkpoints that it
    signed and that contradict what was cosigned. unshown: others whose proof did not hold."""

    origin: str
    vkeys: tuple[str, ...]
    size: int
    at_s: int
    refused: int
    unshown: int


class Book:
    """The book of the witness in a directory. Any number of processes may hold one."""

    def __init__(self, data: Path, clock: Clock) -> None:
        self.key = load_key(data / KEY_FILE, "witness key")
        self._path = data / BOOK_FILE
        self._clock = clock
        if not self._path.is_file():
            todo = "restore it as it was last, or make a new witness with a new key"
            raise EnvironmentFault("what this witness has cosigned is gone", where=str(self._path), todo=todo)
        with self._opened() as db:
            (bound,) = db.execute("SELECT key FROM about").fetchone()
        if bound != str(self.vkey):
            raise ConfigError("this book is of another key", where=str(self._path), todo=f"it belongs to {bound}")

    @property
    def vkey(self) -> WitnessKey:
        """What logs and verifiers configure."""
        return WitnessKey(self.key.name, self.key.public_key)

    # --- logs

    def trust(self, vkey: VerifierKey, origin: str = "") -> None:
        """Cosign a log's checkpoints from now on. origin: its first line; the key's name if left out."""
        if vkey.public_key == self.key.public_key:
            raise ConfigError("a log cannot witness itself", where=vkey.name, todo="give the witness a key of its own")
        with self._writing() as db:
            db.execute("INSERT OR IGNORE INTO logs VALUES (?, ?)", (origin or vkey.name, str(vkey)))

    def distrust(self, vkey: VerifierKey) -> bool:
        """Cosign nothing more that this key alone signed; False when it was not trusted. What was cosigned stays known."""
        with self._writing() as db:
            return db.execute("DELETE FROM logs WHERE vkey = ?", (str(vkey),)).rowcount > 0

    def known(self) -> tuple[Known, ...]:
        """Every log that is trusted."""
        with self._opened() as db:
            rows = db.execute("SELECT origin, vkey FROM logs ORDER BY origin, vkey").fetchall()
            heads = {row[0]: (row[1], row[2]) for row in db.execute("SELECT origin, size, at_s FROM heads")}
            found = db.execute("SELECT origin, why LIKE ? || '%' FROM refused", (UNSHOWN,)).fetchall()
        counts = Counter((origin, bool(unshown)) for origin, unshown in found)
        origins = dict.fromkeys(origin for origin, _ in rows)
        keys = {origin: tuple(vkey for other, vkey in rows if other == origin) for origin in origins}
        return tuple(
            Known(name, keys[name], *heads.get(name, (0, 0)), counts[name, False], counts[name, True]) for name in origins
        )

    def latest(self, hashed: str) -> bytes | None:
        """The last checkpoint cosigned of a log, named by ``origin_hash``, with its signature and ours."""
        with self._opened() as db:
            row = db.execute("SELECT note FROM heads WHERE hash = ?", (hashed,)).fetchone()
        return None if row is None else bytes(row[0])

    def refused(self, origin: str) -> list[tuple[int, str, bytes]]:
        """(seconds since the epoch, why, note) of checkpoints that a log signed and that were refused."""
        with self._opened() as db:
            return db.execute("SELECT at_s, why, note FROM refused WHERE origin = ? ORDER BY id", (origin,)).fetchall()

    # --- the one thing that it does

    def add_checkpoint(self, body: bytes) -> bytes:
        """The answer to a request: the signature line. Raises WitnessRefusal, EnvironmentFault."""
        request, checkpoint = parse_request(body)
        note = check_signed(request, checkpoint, self._trusted(checkpoint.origin))
        try:
            with self._writing() as db:
                at_s = self._now_s(db, checkpoint.origin)
                check_extends(request, checkpoint, _head(db, checkpoint.origin))
                line = cosign(note.text, self.key, at_s)
                self._write_down(db, checkpoint, note, line, at_s)
        except WitnessRefusal as refusal:
            if refusal.status == INCONSISTENT:
                self._keep(checkpoint.origin, _as_signed(note), _why(refusal, request))
            raise
        return signature_line(line).encode()

    def _trusted(self, origin: str) -> list[VerifierKey]:
        with self._opened() as db:
            rows = db.execute("SELECT vkey FROM logs WHERE origin = ?", (origin,)).fetchall()
        return [parse_vkey(row[0]) for row in rows]

    def _now_s(self, db: sqlite3.Connection, origin: str) -> int:
        """Now; a cosignature is never dated before the one that it follows."""
        row = db.execute("SELECT at_s FROM heads WHERE origin = ?", (origin,)).fetchone()
        now_s = self._clock()
        if row is not None and now_s < row[0]:
            what = f"clock is {row[0] - now_s} s before the last cosignature"
            raise EnvironmentFault(what, where=origin, todo="set the clock of this machine")
        return now_s

    def _write_down(self, db: sqlite3.Connection, checkpoint: Checkpoint, note: Note, line: Signature, at_s: int) -> None:
        held = with_signatures(_as_signed(note), [line])
        row = (checkpoint.origin, origin_hash(checkpoint.origin), checkpoint.size, at_s, held)
        db.execute("INSERT OR REPLACE INTO heads VALUES (?, ?, ?, ?, ?)", row)
        db.execute("DELETE FROM refused WHERE origin = ? AND note = ?", (checkpoint.origin, _as_signed(note)))

    def _keep(self, origin: str, signed: bytes, why: str) -> None:
        """Two checkpoints of one log that do not extend each other prove that it was forked: the second is kept."""
        with self._writing() as db:
            held = db.execute("SELECT why, note FROM refused WHERE origin = ?", (origin,)).fetchall()
            alike = [bytes(note) for other, note in held if other.startswith(UNSHOWN) == why.startswith(UNSHOWN)]
            if len(alike) < EVIDENCE_MAX and signed not in alike:
                row = (origin, self._clock(), why, signed)
                db.execute("INSERT INTO refused (origin, at_s, why, note) VALUES (?, ?, ?, ?)", row)

    # --- the file

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._opened() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with _open(self._path) as db:
            yield db


def create(data: Path, name: str) -> WitnessKey:
    """Make key and book of a new witness. Raises ConflictError where there is one already."""
    if not is_key_name(name):
        raise ConfigError(f"{name!r} cannot name a witness", where="name", todo="use neither white space nor plus")
    if (data / KEY_FILE).exists() or (data / BOOK_FILE).exists():
        todo = "use another directory: a key is never given an empty book"
        raise ConflictError("there is a witness here already", where=str(data), todo=todo)
    key = LogKey(name, secrets.token_bytes(32))
    vkey = WitnessKey(name, key.public_key)
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = data / f".{BOOK_FILE}.{secrets.token_hex(4)}"
    with _open(draft, "rwc") as db:
        db.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}")
        db.execute("INSERT INTO about VALUES (?)", (str(vkey),))
        db.execute("COMMIT")
    create_private(data / KEY_FILE, f"{key.encoded()}\n".encode())
    draft.rename(data / BOOK_FILE)
    return vkey


def _as_signed(note: Note) -> bytes:
    """The note with the log's own signatures alone: whatever others put under it, it is the same."""
    signatures = "".join(signature_line(each) for each in note.verified)
    return f"{note.text}\n{signatures}".encode()


def _why(refusal: WitnessRefusal, request: Request) -> str:
    """With the proof that came along, which others need to see the same."""
    nodes = f"; from {request.old} entries on by {' '.join(map(b64, request.proof))}" if request.proof else ""
    return f"{refusal.what}{nodes}" if refusal.shown else f"{UNSHOWN}{refusal.what}"


@contextmanager
def _open(path: Path, mode: str = "rw") -> Iterator[sqlite3.Connection]:
    """A connection whose commits are on disk when they return. mode: rwc makes the file. Raises EnvironmentFault."""
    try:
        address = f"{path.absolute().as_uri()}?mode={mode}"
        db = sqlite3.connect(address, uri=True, timeout=BUSY_S, isolation_level=None)
        try:
            db.execute("PRAGMA synchronous=EXTRA")
            yield db
        finally:
            db.close()
    except sqlite3.Error as error:
        what = f"what this witness has cosigned cannot be read or written ({error})"
        raise EnvironmentFault(what, where=str(path), todo="check disk and rights") from error


def _head(db: sqlite3.Connection, origin: str) -> Checkpoint | None:
    row = db.execute("SELECT note FROM heads WHERE origin = ?", (origin,)).fetchone()
    return None if row is None else parse_checkpoint(split_note(bytes(row[0]))[0])

"""Kinds of tampering, each a function of a copy and a random generator that changes the copy and says what it did.

``LOG``: whoever serves or copies the published log. ``DATABASE``: whoever reaches the site's database. ``BOTH``: whoever
reaches both. ``KEY``: whoever holds the log's key besides, who can sign any history: only those who remember see it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from enum import StrEnum

import msgspec

from countersign.evaluate.drill_copy import INSERT, Copy
from countersign.ledger.canonical import decode, encode
from countersign.ledger.merkle import leaf_hash
from countersign.ledger.note import Checkpoint, VerifierKey, sign_note, split_note
from countersign.ledger.tiles import HASH_BYTES, TILE_WIDTH, decode_bundle, encode_bundle
from countersign.store.keys import LogKey
from countersign.store.tiles import CHECKPOINT


class Reach(StrEnum):
    """What the tamperer has hands on."""

    LOG = "log"
    DATABASE = "database"
    BOTH = "log and database"
    KEY = "log, database and key"


Tamper = Callable[[Copy, random.Random], str]


class Drill(msgspec.Struct, frozen=True):
    """One kind of tampering."""

    name: str
    reach: Reach
    tamper: Tamper


# --- tools


def _flipped(data: bytes, at: int, draw: random.Random) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :]


def edited(entry: bytes, draw: random.Random) -> bytes:
    """An entry in good form that says something else: another time, actor, subject or figure."""
    read = decode(entry)
    figures = [name for name, value in read.body.items() if isinstance(value, int)]
    match draw.choice(("time", "actor", "subject", "figure")):
        case "figure" if figures:
            name = draw.choice(figures)
            changed = msgspec.structs.replace(read, body=read.body | {name: read.body[name] + draw.randrange(1, 1_000)})
        case "actor":
            changed = msgspec.structs.replace(read, actor=msgspec.structs.replace(read.actor, id="somebody~else"))
        case "subject":
            changed = msgspec.structs.replace(read, subject=f"X-{draw.getrandbits(32)}")
        case _:
            changed = msgspec.structs.replace(read, time=read.time + draw.randrange(1, 10**9))
    return encode(changed)


def rewritten(entries: Sequence[bytes], draw: random.Random) -> tuple[list[bytes], int, str]:
    """(another history, the first index at which it differs, what was done): edited, shortened, lengthened or reordered."""
    found, at = list(entries), draw.randrange(max(1, len(entries) - 1))
    match draw.choice(("edit", "delete", "insert", "swap") if len(entries) > 1 else ("edit",)):
        case "delete":
            del found[at]
            return found, at, f"entry {at} deleted"
        case "insert":
            found.insert(at, edited(found[at], draw))
            return found, at, f"entry inserted at {at}"
        case "swap":
            other = draw.randrange(at + 1, len(found))
            found[at], found[other] = found[other], found[at]
            return found, at, f"entries {at} and {other} swapped"
    found[at] = edited(found[at], draw)
    return found, at, f"entry {at} edited"


def _some(copy: Copy, draw: random.Random) -> int:
    return draw.randrange(copy.original.checkpoint.size)


def _earlier(copy: Copy, draw: random.Random) -> int:
    return draw.randrange(1, copy.original.checkpoint.size)


# --- the published log


def flip(copy: Copy, draw: random.Random) -> str:
    """One bit of a tile, a bundle or the checkpoint."""
    path = draw.choice([*copy.files(), CHECKPOINT])
    data = copy.read(path)
    end = len(data) if path != CHECKPOINT else data.index(b"\n", data.index(b"\n\n") + 2)  # others may sign below
    at = draw.randrange(end)
    copy.write(path, _flipped(data, at, draw))
    return f"bit flipped in byte {at} of {path}"


def remove_file(copy: Copy, draw: random.Random) -> str:
    """A tile, a bundle or the checkpoint."""
    path = draw.choice([*copy.files(), CHECKPOINT])
    copy.remove(path)
    return f"{path} removed"


def truncate_file(copy: Copy, draw: random.Random) -> str:
    """Some bytes less at the end of a file."""
    path = draw.choice([*copy.files(), CHECKPOINT])
    data = copy.read(path)
    kept = draw.randrange(len(data))
    copy.write(path, data[:kept])
    return f"{path} cut to {kept} of {len(data)} bytes"


def edit_bundle(copy: Copy, draw: random.Random) -> str:
    """An entry edited, deleted, inserted or swapped with another in its bundle."""
    path = copy.bundle(_some(copy, draw))
    entries, _ = decode_bundle(copy.read(path))
    changed, _, what = rewritten(entries, draw)
    copy.write(path, encode_bundle(changed[:TILE_WIDTH]))
    return f"{path}: {what}"


def edit_with_its_hash(copy: Copy, draw: random.Random) -> str:
    """An entry edited in its bundle, its leaf hash too; not the levels above."""
    index = _some(copy, draw)
    path, tile = copy.bundle(index), copy.tile(index)
    entries, _ = decode_bundle(copy.read(path))
    place = index % TILE_WIDTH
    entries[place] = edited(entries[place], draw)
    hashes = copy.read(tile)
    copy.write(path, encode_bundle(entries))
    copy.write(tile, hashes[: place * HASH_BYTES] + leaf_hash(entries[place]) + hashes[(place + 1) * HASH_BYTES :])
    return f"entry {index} edited with its leaf hash"


def swap_files(copy: Copy, draw: random.Random) -> str:
    """Two files of the log, each in the other's place."""
    one, two = draw.sample(copy.files(), 2)
    first, second = copy.read(one), copy.read(two)
    copy.write(one, second)
    copy.write(two, first)
    return f"{one} and {two} swapped"


def edit_checkpoint(copy: Copy, draw: random.Random) -> str:
    """Another size, root or name under the same signature."""
    held, part = copy.original.checkpoint, draw.choice(("size", "root", "origin"))
    size = held.size + draw.choice((-1, 1)) * draw.randrange(1, held.size) if part == "size" else held.size
    root = draw.randbytes(HASH_BYTES) if part == "root" else held.root
    origin = f"{held.origin}x" if part == "origin" else held.origin
    text = Checkpoint(origin, size, root).text
    copy.write(CHECKPOINT, text.encode() + copy.read(CHECKPOINT).partition(b"\n\n")[1][:1] + _signatures(copy))
    return f"another {part} in the checkpoint"


def _signatures(copy: Copy) -> bytes:
    return copy.read(CHECKPOINT).partition(b"\n\n")[2]


def another_key(copy: Copy, draw: random.Random) -> str:
    """Another history, signed with another key of the same name."""
    entries, _, what = rewritten(copy.original.entries, draw)
    copy.republish(entries, LogKey(copy.original.key.name, draw.randbytes(32)))
    return f"{what}, log signed anew with another key"


def borrowed_signature(copy: Copy, draw: random.Random) -> str:
    """Another history, signed with another key under the true key's id."""
    key = LogKey(copy.original.key.name, draw.randbytes(32))
    entries, _, what = rewritten(copy.original.entries, draw)
    copy.republish(entries, key)
    text, (signature, *_) = split_note(copy.read(CHECKPOINT))
    true = VerifierKey(copy.original.key.name, copy.original.key.public_key)
    forged = sign_note(text, _Posing(key, true), ())
    copy.write(CHECKPOINT, forged)
    return f"{what}, signed by {signature.key_id.hex()} as {true.key_id.hex()}"


class _Posing:
    """Signs with one key and claims to be another."""

    def __init__(self, key: LogKey, claimed: VerifierKey) -> None:
        self._key = key
        self.name, self.public_key = claimed.name, claimed.public_key

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


def tiles_alone(copy: Copy, draw: random.Random) -> str:
    """Another history in all tiles, under the true checkpoint; the database as it was."""
    entries, _, what = rewritten(copy.original.entries, draw)
    copy.republish(entries, None, checkpoint=False)
    return f"{what} in bundles and in all hash tiles"


# --- the database


def row_edited(copy: Copy, draw: random.Random) -> str:
    """An entry's bytes: another entry in good form, or a flipped bit."""
    index = _some(copy, draw)
    data = copy.original.entries[index]
    changed = edited(data, draw) if draw.random() < 0.7 else _flipped(data, draw.randrange(len(data)), draw)
    with copy.sql() as conn:
        conn.execute("UPDATE entries SET bytes = ? WHERE idx = ?", (changed, index))
    return f"entry {index} edited in the database"


def row_columns(copy: Copy, draw: random.Random) -> str:
    """What stands searchable beside an entry."""
    index, column = _some(copy, draw), draw.choice(("kind", "subject", "time_ms"))
    value = draw.randrange(10**6) if column == "time_ms" else f"x{draw.getrandbits(32)}"
    with copy.sql() as conn:
        conn.execute(f"UPDATE entries SET {column} = ? WHERE idx = ?", (value, index))  # noqa: S608 - one of three names
    return f"{column} of entry {index} changed in the database"


def rows_deleted(copy: Copy, draw: random.Random) -> str:
    """One row, a run of rows, or all from one on, with or without the count beside them."""
    first = _some(copy, draw)
    last = draw.choice((first, min(first + draw.randrange(20), copy.original.checkpoint.size), 2**31))
    with copy.sql() as conn:
        conn.execute("DELETE FROM entries WHERE idx BETWEEN ? AND ?", (first, last))
        if draw.random() < 0.5:
            conn.execute("UPDATE ledger_head SET size = (SELECT coalesce(max(idx) + 1, 0) FROM entries)")
    return f"entries from {first} on deleted in the database"


def row_inserted(copy: Copy, draw: random.Random) -> str:
    """A row where the log has none: before its beginning, or behind a gap after its end."""
    size = copy.original.checkpoint.size
    index = draw.choice((-draw.randrange(1, 1_000), size + draw.randrange(1, 1_000)))
    entry = edited(draw.choice(copy.original.entries), draw)
    read = decode(entry)
    with copy.sql() as conn:
        conn.execute(INSERT, (index, read.kind.value, read.subject, read.time, entry))
    return f"entry inserted at {index} in the database"


def count_changed(copy: Copy, draw: random.Random) -> str:
    """How many entries the database says it has, or the row that says it."""
    change = draw.choice((None, draw.randrange(-50, 0), draw.randrange(1, 50)))
    with copy.sql() as conn:
        conn.execute("DELETE FROM ledger_head" if change is None else f"UPDATE ledger_head SET size = size + {change}")  # noqa: S608 - a number
    return f"count of entries changed by {change}" if change else "count of entries deleted"


def rows_rewritten(copy: Copy, draw: random.Random) -> str:
    """Another history in all rows: deleted, inserted, swapped or edited without a gap; the log as it was."""
    entries, _, what = rewritten(copy.original.entries, draw)
    copy.refill(entries)
    return f"{what} in the database"


def evidence_replaced(copy: Copy, draw: random.Random) -> str:
    """Other bytes, another salt, or another piece's bytes under an entry's commitment."""
    with copy.sql() as conn:
        pieces = conn.execute("SELECT digest, salt, bytes FROM evidence ORDER BY digest").fetchall()
        digest, salt, data = draw.choice(pieces)
        how = draw.choice(("bytes", "salt", "other") if len(pieces) > 1 else ("bytes", "salt"))
        if how == "salt":
            salt = _flipped(salt, draw.randrange(len(salt)), draw)
        elif how == "other":
            salt, data = draw.choice([piece[1:] for piece in pieces if piece[0] != digest])
        else:
            data = _flipped(data, draw.randrange(len(data)), draw)
        conn.execute("UPDATE evidence SET salt = ?, bytes = ? WHERE digest = ?", (salt, data, digest))
    return f"evidence {digest[:12]} replaced ({how})"


def evidence_deleted(copy: Copy, draw: random.Random) -> str:
    """A piece that an entry commits to."""
    with copy.sql() as conn:
        digest = draw.choice([row[0] for row in conn.execute("SELECT digest FROM evidence ORDER BY digest")])
        conn.execute("DELETE FROM evidence WHERE digest = ?", (digest,))
    return f"evidence {digest[:12]} deleted"


# --- both


def both_rewritten(copy: Copy, draw: random.Random) -> str:
    """Another history in the database and in all tiles, under the true checkpoint."""
    entries, _, what = rewritten(copy.original.entries, draw)
    copy.refill(entries)
    copy.republish(entries, None, checkpoint=False)
    return f"{what} everywhere but in the checkpoint"


def rolled_back(copy: Copy, draw: random.Random) -> str:
    """A backup put back: log and database of an earlier moment, with the checkpoint of then."""
    size = _earlier(copy, draw)
    copy.refill(copy.original.entries[:size])
    copy.republish(copy.original.entries[:size], None)
    return f"rolled back to {size} entries"


def log_rolled_back(copy: Copy, draw: random.Random) -> str:
    """The log of an earlier moment beside the database of now."""
    size = _earlier(copy, draw)
    copy.republish(copy.original.entries[:size], None)
    return f"log rolled back to {size} entries"


# --- with the key


def forked(copy: Copy, draw: random.Random) -> str:
    """Another history everywhere, signed with the log's own key."""
    entries, _, what = rewritten(copy.original.entries, draw)
    copy.refill(entries)
    copy.republish(entries, None)
    return f"{what} everywhere, signed with the true key"


def forked_and_grown(copy: Copy, draw: random.Random) -> str:
    """Rolled back, then continued otherwise beyond where it was."""
    held = copy.original.entries
    size = _earlier(copy, draw)
    more = [edited(draw.choice(held), draw) for _ in range(len(held) - size + draw.randrange(1, 40))]
    copy.refill([*held[:size], *more])
    copy.republish([*held[:size], *more], None)
    return f"another history from entry {size} on, {size + len(more)} entries, signed with the true key"


def log_forked(copy: Copy, draw: random.Random) -> str:
    """Another history in the log, signed with the log's own key; the database as it was."""
    entries, _, what = rewritten(copy.original.entries, draw)
    copy.republish(entries, None)
    return f"{what} in the log, signed with the true key"


DRILLS: tuple[Drill, ...] = (
    Drill("flip a bit", Reach.LOG, flip),
    Drill("remove a file", Reach.LOG, remove_file),
    Drill("truncate a file", Reach.LOG, truncate_file),
    Drill("edit, delete, insert, swap in a bundle", Reach.LOG, edit_bundle),
    Drill("edit an entry and its hash", Reach.LOG, edit_with_its_hash),
    Drill("swap two files", Reach.LOG, swap_files),
    Drill("edit the checkpoint", Reach.LOG, edit_checkpoint),
    Drill("sign anew with another key", Reach.LOG, another_key),
    Drill("pose as the key", Reach.LOG, borrowed_signature),
    Drill("all tiles, not the database", Reach.LOG, tiles_alone),
    Drill("edit a row", Reach.DATABASE, row_edited),
    Drill("edit columns beside an entry", Reach.DATABASE, row_columns),
    Drill("delete rows", Reach.DATABASE, rows_deleted),
    Drill("insert a row", Reach.DATABASE, row_inserted),
    Drill("change the count of entries", Reach.DATABASE, count_changed),
    Drill("rewrite rows, not the tiles", Reach.DATABASE, rows_rewritten),
    Drill("replace evidence", Reach.DATABASE, evidence_replaced),
    Drill("delete evidence", Reach.DATABASE, evidence_deleted),
    Drill("rewrite all but the checkpoint", Reach.BOTH, both_rewritten),
    Drill("roll back", Reach.BOTH, rolled_back),
    Drill("roll back the log alone", Reach.LOG, log_rolled_back),
    Drill("fork", Reach.KEY, forked),
    Drill("fork and grow", Reach.KEY, forked_and_grown),
    Drill("fork the log alone", Reach.KEY, log_forked),
)

"""Rotate the log's key. The old key signs for the new one, and is then forgotten; see ``ledger.handover``.

A kill at any moment leaves the old key or the new one in force, never neither: whatever was begun is kept under ``keys/``
and is taken up again by the next rotation, or, once the new key is in force, by the next start.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace
from sqlalchemy import Connection, Engine, select

from countersign.errors import EnvironmentFault
from countersign.ledger import handover
from countersign.ledger.canonical import decode
from countersign.ledger.cosignature import with_signatures
from countersign.ledger.handover import Handover
from countersign.ledger.judging import Told
from countersign.ledger.note import Signature, VerifierKey, split_note
from countersign.ledger.proof import format_proof, make_proof
from countersign.model.entries import Entry, Kind
from countersign.store import keys, ledger
from countersign.store import tables as t
from countersign.store.act import person, required_reason
from countersign.store.engine import writing
from countersign.store.keys import LiveKey, LogKey
from countersign.store.sealer import Sealer
from countersign.store.tiles import TileDir

PENDING = "keys/handover.json"


def rotate(
    data: Path, engine: Engine, sealer: Sealer, tiles: TileDir, operator: str, reason: str, now_ms: int
) -> VerifierKey:
    """Put a new key in force and return it. Raises EnvironmentFault when the log cannot be sealed: the old key goes on."""
    required_reason(reason)
    live = LiveKey(data / keys.KEY_FILE)
    old = live.key
    new = keys.next_key(data, old.name)
    index = _enter(engine, old, new, operator, reason, now_ms)
    if sealer.seal().size <= index:
        raise EnvironmentFault("the entry of the new key is not sealed", where=str(data), todo="see `countersign verify`")
    with sealer.locked():
        if live.key.vkey == old.vkey:  # else another rotation was faster
            _hand_over(data, tiles, old, new, index)
    return live.key.vkey


def finish(data: Path, tiles: TileDir) -> None:
    """Publish a handover that a kill held up after its key was in force; nothing otherwise."""
    path = data / PENDING
    if not path.exists():
        return
    begun = handover.read(path.read_bytes())
    key = LiveKey(data / keys.KEY_FILE).vkey
    if handover.named(begun[0].entry)[1] == key:
        _publish(data, tiles, begun[0])


def _enter(engine: Engine, old: LogKey, new: LogKey, operator: str, reason: str, now_ms: int) -> int:
    """Index of the entry that names the new key; written once, whatever was begun before."""
    with writing(engine) as conn:
        ledger.lock_head(conn)
        rows = select(t.entries.c.idx, t.entries.c.bytes).where(t.entries.c.kind == Kind.LEDGER_REKEYED.value)
        for row in conn.execute(rows):
            if decode(row.bytes).body["vkey"] == str(new.vkey):
                return int(row.idx)
        actor = person(conn, operator)
        body = {"was": str(old.vkey), "vkey": str(new.vkey), "reason": reason}
        return ledger.append(conn, [(Entry(Kind.LEDGER_REKEYED, now_ms, actor, old.name, "command", body), "")])


def _hand_over(data: Path, tiles: TileDir, old: LogKey, new: LogKey, index: int) -> None:
    signed = tiles.checkpoint() or b""
    text, _ = split_note(signed)
    both = with_signatures(signed, [Signature(new.name, new.vkey.key_id, new.sign(text.encode()))])
    proof, entry = make_proof(tiles, index, [old.vkey])
    made = Handover(entry, format_proof(replace(proof, checkpoint=both)))
    handover.check(made)
    pending = data / PENDING
    pending.unlink(missing_ok=True)
    keys.create_private(pending, handover.write([made]))
    tiles.write_checkpoint(both)
    keys.retire(data, old)
    _publish(data, tiles, made)


def _publish(data: Path, tiles: TileDir, made: Handover) -> None:
    before = [one for one in published(tiles) if one.entry != made.entry]
    tiles.write([(handover.FILE, handover.write([*before, made]))])
    (data / PENDING).unlink(missing_ok=True)


class Beside(Protocol):
    """Wherever a log is published."""

    def beside(self, name: str) -> bytes | None:
        """What is published beside the tiles under this name."""
        ...


def judge(tiles: Beside, keys: Sequence[VerifierKey]) -> handover.Published:
    """Who judges whether every change of keys is published beside these tiles. keys: that sign now."""
    return handover.Published(tiles.beside(handover.FILE), keys)


def missing(conn: Connection, tiles: Beside, keys: Sequence[VerifierKey]) -> list[str]:
    """The same over the entries that the database holds; what is wrong."""
    judging = judge(tiles, keys)
    rekeyed = ledger.stream_kind(conn, Kind.LEDGER_REKEYED)
    return [f"entry {index}: {what}" for index, entry in rekeyed for what in judging.problems(Told(index, entry))]


def published(tiles: Beside) -> list[Handover]:
    """Every handover of this log so far."""
    found = tiles.beside(handover.FILE)
    return handover.read(found) if found is not None else []

"""The witnesses that a site configures, and how it went with each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, select

from countersign.config import Ledger
from countersign.errors import ConfigError, UsageError
from countersign.ledger.cosignature import WitnessKey, parse_witness_key
from countersign.store import tables as t
from countersign.store.sql import upsert

WHERE = "countersign.toml: ledger"
FIRST_DELAY_MS = 1_000
DELAY_MAX_MS = 30_000
"""The pause after a try that failed begins with the first and doubles up to the second."""
WORDS_MAX = 500
TRIES_TOLD = 3
"""A witness is told of that did not cosign so many times in a row: what passes by itself within seconds is no news."""


class Named(NamedTuple):
    """A witness as configured."""

    name: str
    url: str
    key: WitnessKey


class State(msgspec.Struct, frozen=True):
    """How it went with one witness, by its vkey. size: of the last checkpoint that it cosigned, 0 for none; error: why the
    last try failed; alarm: what it says against this log, until it cosigns again."""

    vkey: str
    size: int = 0
    cosigned_ms: int = 0
    asked_ms: int = 0
    tries: int = 0
    next_ms: int = 0
    error: str = ""
    alarm: str = ""

    def cosigned(self, size: int, now_ms: int) -> State:
        """After it cosigned."""
        return State(self.vkey, size, now_ms, now_ms)

    def failed(self, error: str, alarm: str, now_ms: int) -> State:
        """After a try that failed. alarm: "" leaves an earlier one in place."""
        pause_ms = min(DELAY_MAX_MS, FIRST_DELAY_MS * 2 ** min(self.tries, 10))
        return msgspec.structs.replace(
            self,
            asked_ms=now_ms,
            tries=self.tries + 1,
            next_ms=now_ms + pause_ms,
            error=error[:WORDS_MAX],
            alarm=(alarm or self.alarm)[:WORDS_MAX],
        )


class Heard(msgspec.Struct, frozen=True):
    """What people must hear of the witnesses. alarms: that one says that this log was rolled back or forked; refusals: that
    one has not cosigned for some time, and why. quorum: as configured."""

    alarms: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    quorum: int = 0

    @property
    def follows(self) -> str:
        """What an alarm leads to."""
        if self.quorum:
            return "no action starts until the witness cosigns again"
        return "actions start all the same, since ledger.quorum is 0"

    @property
    def lines(self) -> tuple[str, ...]:
        """One line each for a person, with what to do; none while all is well."""
        alarms = (f"WITNESS ALARM: {one}; {self.follows}. {TODO}" for one in self.alarms)
        need = f"; no action starts while fewer than {self.quorum} cosign" if self.quorum else ""
        refusals = (f"witness {one}{need}: see `countersign ledger status`" for one in self.refusals)
        return (*alarms, *refusals)


TODO = "Keep a copy of everything, go on with the log that the witness knows, and see `countersign ledger status`"
"""What to do about an alarm."""


def configured(ledger: Ledger, log_key: bytes) -> tuple[Named, ...]:
    """The witnesses of a configuration. log_key: public key of the log, which cannot witness itself. Raises ConfigError."""
    found = tuple(Named(one.name, one.url, _key(place, one.vkey)) for place, one in enumerate(ledger.witnesses))
    if len({one.name for one in found}) < len(found) or len({one.key.public_key for one in found}) < len(found):
        raise ConfigError("a witness stands there twice", where=f"{WHERE}.witnesses", todo="give each a name and key once")
    if any(one.key.public_key == log_key for one in found):
        raise ConfigError("the log cannot witness itself", where=f"{WHERE}.witnesses", todo="name somebody else's witness")
    if ledger.quorum > len(found):
        what = f"{ledger.quorum} cosignatures are asked for, {len(found)} witnesses are named"
        raise ConfigError(what, where=f"{WHERE}.quorum", todo="name more witnesses, or ask for fewer cosignatures")
    return found


def _key(place: int, vkey: str) -> WitnessKey:
    try:
        return parse_witness_key(vkey)
    except UsageError as error:
        raise ConfigError(error.what, where=f"{WHERE}.witnesses[{place}].vkey", todo=error.todo) from error


def states(conn: Connection, chosen: Sequence[Named]) -> tuple[State, ...]:
    """How it went with each, in their order."""
    rows = {row.vkey: State(*tuple(row)) for row in conn.execute(select(t.witnesses))}
    return tuple(rows.get(str(one.key), State(str(one.key))) for one in chosen)


def heard(conn: Connection, chosen: Sequence[Named], quorum: int) -> Heard:
    """What people must hear of these witnesses."""
    found = list(zip(chosen, states(conn, chosen), strict=True)) if chosen else []
    refusals = (f"{one.name} {s.error}" for one, s in found if s.error and not s.alarm and s.tries >= TRIES_TOLD)
    return Heard(tuple(s.alarm for _, s in found if s.alarm), tuple(refusals), quorum)


def keep(conn: Connection, found: Sequence[State]) -> None:
    """Write down how it went."""
    upsert(conn, t.witnesses, [msgspec.structs.asdict(state) for state in found])

"""One act of a person: a transaction that takes the head, writes entries in order, and lets scopes take in what was said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from countersign.autonomy.recall import Recalled
from countersign.errors import UsageError
from countersign.model.entries import Actor, Entry, Kind
from countersign.store import autonomy, ledger, recalling
from countersign.store.autonomy import Governance, InForce, Judgement

REASON_CHARS_MAX = 2_000
NOTHING = InForce("", "")
"""For callers that know no model: their answers feed no statistic."""


def person(conn: Connection, name: str) -> Actor:
    """A human actor under a pseudonym."""
    check_text(name, "name")
    value = f"person:{name}"
    return Actor("human", ledger.pseudonyms(conn, [value])[value])


def check_text(text: str, where: str) -> None:
    """Text from a command line may hold bytes that are no UTF-8; neither database nor ledger takes them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError("text is not valid UTF-8", where=where, todo="type it again") from None


def required_reason(text: str) -> str:
    """A person's reason, stripped. Raises UsageError when there is none, or it is too long or no UTF-8."""
    reason = optional_reason(text)
    if not reason:
        raise UsageError("a reason is required", where="reason", todo="say in a few words what you found")
    return reason


def optional_reason(text: str) -> str:
    """The same where none is needed."""
    check_text(text, "reason")
    reason = text.strip()
    if len(reason) > REASON_CHARS_MAX:
        raise UsageError(f"reason is longer than {REASON_CHARS_MAX} characters", where="reason", todo="shorten it")
    return reason


class Act:
    """Build it first: it takes the head lock, so what is read after it is what the entries say."""

    def __init__(self, conn: Connection, who: str, now_ms: int, force: InForce) -> None:
        self.conn, self.now_ms, self.force = conn, now_ms, force
        self.size, _ = ledger.lock_head(conn)
        self.actor = person(conn, who)
        self.entries: list[tuple[Entry, str]] = []
        self._governance: Governance | None = None

    @property
    def governance(self) -> Governance:
        """The scopes' states, loaded when first asked for."""
        if self._governance is None:
            self._governance = autonomy.load(self.conn, self.force, self.now_ms)
        return self._governance

    def enter(self, kind: Kind, subject: str, trigger: str, body: dict[str, Any], case: str = "") -> int:
        """Queue an entry; returns the index that it will have."""
        self.entries.append((Entry(kind, self.now_ms, self.actor, subject, trigger, body), case))
        return self.size + len(self.entries) - 1

    def judge(self, judged: Sequence[Judgement]) -> None:
        """Let the scopes take in what was said."""
        autonomy.judge(self.conn, self.governance, judged, self.force)

    def recall(self, case_id: str, missed: Sequence[str], news: Sequence[str], reason: str) -> list[Recalled]:
        """Closes that rest on the same reason as these misses, and closes around findings that are news as threats, go to
        people. Returns the former."""
        found = recalling.resting(self.conn, missed, self.now_ms) if missed else []
        if missed:
            for body in recalling.bodies(recalling.MISS, reason, missed, found):
                self._apply(case_id, body)
        nearby = [Recalled(ident, False, (), ()) for ident in recalling.around(self.conn, news)] if news else []
        if nearby:
            for body in recalling.bodies(recalling.NEARBY, reason, news, nearby):
                self._apply(case_id, body)
        return found

    def _apply(self, case_id: str, body: dict[str, Any]) -> None:
        index = self.enter(Kind.RECALL_OPENED, case_id, str(self.size), body, case_id)
        recalling.apply(self.conn, body, index, self.now_ms)

    def finish(self) -> None:
        """The scopes' states, and everything into the ledger."""
        if self._governance is not None:
            first = self.size + len(self.entries)
            self.entries += [(e, "") for e in autonomy.write(self.conn, self._governance, first, str(self.size))]
        ledger.append(self.conn, self.entries)

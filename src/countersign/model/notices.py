"""A message about what waits for people, or about the ledger: which action, which case, where to look. No word of an alert,
no name of a person."""

from __future__ import annotations

import msgspec

_SAID = {
    "waits": "waits for approval",
    "approved": "was approved",
    "denied": "was denied",
    "expired": "expired without enough approvals",
    "probed_ok": "was carried out and holds",
    "probed_bad": "was carried out and is not effective: somebody has to look",
    "left_to_person": "was not carried out: somebody has to look",
    "outdated": "must be proposed anew: a target changed",
}
WITNESS_ALARM, WITNESS_WELL = "witness_alarm", "witness_well"
_OF_LEDGER = {
    WITNESS_ALARM: "refuses this log, of {size} entries: it was rolled back, forked or rewritten. `countersign doctor`"
    " says what follows and what to do",
    WITNESS_WELL: "cosigns this log, of {size} entries, again",
}


class Message(msgspec.Struct, frozen=True):
    """text: one plain line. link: page in the console, "" where its address is not known. id: the same in each try."""

    id: str
    event: str
    number: int
    what: str
    case: str
    text: str
    link: str


def message(ident: str, event: str, number: int, what: str, case: str, base: str) -> Message:
    """The message of an event. base: the console's address without a slash at its end, or ""."""
    if event in _OF_LEDGER:
        said = f"Countersign: witness {what} {_OF_LEDGER[event].format(size=number)}"
        return Message(ident, event, number, what, case, said, f"{base}/ledger" if base else "")
    of = f" for case {case}" if case else ""
    text = f"Countersign: {what}{of} {_SAID[event]} (number {number})"
    return Message(ident, event, number, what, case, text, f"{base}/approvals/{number}" if base else "")

"""Key rotation: how whoever knows an old key of the log comes to trust the new one.

The old key signs a checkpoint that covers a ``ledger.rekeyed`` entry naming the new key, and the new key signs the same
checkpoint, which shows that somebody holds it. Both are published as one proof (c2sp.org/tlog-proof@v1) of that entry, so
that a handover can be checked without the log. Who holds an old key can still sign what is older than the handover.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from countersign.errors import UsageError, VerificationError
from countersign.ledger.canonical import decode, encode
from countersign.ledger.judging import Opinion, Told
from countersign.ledger.note import VerifierKey, open_checkpoint, parse_vkey
from countersign.ledger.proof import parse_proof, verify_proof
from countersign.model.entries import Kind

FILE = "handovers.json"
"""Name of the published list, beside the checkpoint."""
TODO = f"restore {FILE} from a backup or from any copy of the published log"
_decode = msgspec.json.Decoder(list[dict[str, str]]).decode
_encode = msgspec.json.Encoder().encode


class Handover(msgspec.Struct, frozen=True):
    """One rotation as published: the canonical ``ledger.rekeyed`` entry, and the text of its proof."""

    entry: bytes
    proof: str


def read(data: bytes) -> list[Handover]:
    """Handovers as published in ``handovers.json``. Raises VerificationError."""
    try:
        return [Handover(one["entry"].encode(), one["proof"]) for one in _decode(data)]
    except (msgspec.DecodeError, KeyError) as error:
        raise VerificationError(f"handovers cannot be read: {error}", where=FILE) from error


def write(handovers: Iterable[Handover]) -> bytes:
    """The same as JSON: a list of ``{"entry": …, "proof": …}``, both as text."""
    return msgspec.json.format(_encode([{"entry": one.entry.decode(), "proof": one.proof} for one in handovers]))


class Passed(msgspec.Struct, frozen=True):
    """What a handover shows once checked: from which key to which, under a checkpoint of ``size`` entries."""

    was: VerifierKey
    key: VerifierKey
    size: int


class Trust(msgspec.Struct, frozen=True):
    """Keys by handover. current: what must sign a checkpoint of over ``size`` entries. older: every key of the chain."""

    current: tuple[VerifierKey, ...]
    older: tuple[VerifierKey, ...]
    size: int = 0


def check(handover: Handover) -> Passed:
    """Raises VerificationError unless both keys that the entry names signed the checkpoint under which it is proved."""
    was, key = named(handover.entry)
    verify_proof(handover.proof, handover.entry, [was])
    signed = parse_proof(handover.proof).checkpoint
    return Passed(was, key, open_checkpoint(signed, [key]).size)


def named(entry: bytes) -> tuple[VerifierKey, VerifierKey]:
    """(old, new) key of a ``ledger.rekeyed`` entry. Raises VerificationError."""
    read = decode(entry)
    if read.kind is not Kind.LEDGER_REKEYED:
        raise VerificationError(f"handover holds a {read.kind.value} entry, not {Kind.LEDGER_REKEYED.value}")
    try:
        was, key = parse_vkey(str(read.body.get("was", ""))), parse_vkey(str(read.body.get("vkey", "")))
    except UsageError as error:
        raise VerificationError(f"handover names no key: {error.what}") from error
    if was.name != key.name or was == key:
        raise VerificationError(
            f"handover from {was.name} to {key.name} is none: the log keeps its name and gets another key"
        )
    return was, key


def follow(keys: Sequence[VerifierKey], handovers: Iterable[Handover]) -> Trust:
    """Go along the handovers that start or end at a trusted key. Raises VerificationError where one does not hold, or where
    two start at the same key: then somebody else holds it too."""
    passed = [_passed(one) for one in {one.entry: one for one in handovers}.values()]
    after = {str(one.was): one for one in passed}
    if len(after) != len(passed):
        raise VerificationError("two handovers start at the same key: one of them is a forgery")
    ordered = sorted(passed, key=lambda each: each.size)
    current, chain = list(keys), list(keys)
    size = 0
    for one in ordered:
        if one.was in current:
            current = [key for key in current if key != one.was] + [one.key]
            size = max(size, one.size)
    for one in [*ordered, *reversed(ordered)]:  # forward from what is trusted, and back
        if (one.was in chain) != (one.key in chain):
            chain += [key for key in (one.was, one.key) if key not in chain]
    return Trust(tuple(current), tuple(chain), size)


def _passed(made: Handover) -> Passed:
    """Raises VerificationError that names the list."""
    try:
        return check(made)
    except VerificationError as error:
        raise VerificationError(f"a handover does not hold: {error.what}", where=FILE, todo=TODO) from error


def refused(signed: bytes, trust: Trust) -> str:
    """Why a checkpoint is not to be trusted although some key of the chain signed it: it is of after a handover and not by
    the new key. "" when it is."""
    try:
        checkpoint = open_checkpoint(signed, trust.older)
        if checkpoint.size > trust.size:
            open_checkpoint(signed, trust.current)
    except VerificationError as error:
        return f"checkpoint: {error}"
    return ""


class Published:
    """``ledger.judging.Judge``: every change of the log's key that is in force must be published, or whoever holds an older
    key is cut off without knowing why. data: ``handovers.json`` as it is, None when it is not there. keys: that sign now."""

    kinds = frozenset({Kind.LEDGER_REKEYED.value})

    def __init__(self, data: bytes | None, keys: Sequence[VerifierKey]) -> None:
        self._keys = frozenset(str(key) for key in keys)
        self._fault = f"{FILE} is missing" if data is None else f"it is not in {FILE}"
        self._found: dict[bytes, list[Handover]] = {}
        self._checked = 0
        try:
            for one in read(data or b"[]"):
                self._found.setdefault(one.entry, []).append(one)
        except VerificationError as error:
            self._fault = f"{FILE}: {error.what}"

    def problems(self, told: Told) -> Iterable[str]:
        """Why a change of keys is not published as it should be; one that is not in force yet need not be."""
        if told.entry.kind is not Kind.LEDGER_REKEYED or not told.whole:
            return ()
        made = self._found.get(encode(told.entry), [])
        if not made and str(told.entry.body.get("was")) in self._keys:
            return ()
        self._checked += 1
        what = f"handover from {told.entry.body.get('was')} cannot be followed: "
        if not made:
            return (f"{what}{self._fault}; {TODO}",)
        return tuple(f"{what}{fault}; {TODO}" for fault in map(_fault, made) if fault)

    def finish(self) -> Opinion:
        """How many were looked at, where there are any."""
        return Opinion({"handovers": self._checked} if self._checked else {})


def _fault(made: Handover) -> str:
    try:
        check(made)
    except VerificationError as error:
        return error.what
    return ""

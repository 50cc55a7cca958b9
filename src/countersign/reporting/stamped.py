"""Timestamps for a pack: a third party's word that entries stood in the log by a moment, and how it reaches the pack's own
checkpoint. Only what holds goes in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from countersign.errors import VerificationError
from countersign.ledger.merkle import consistency_proof, verify_consistency
from countersign.ledger.note import b64, parse_checkpoint, split_note
from countersign.ledger.stamps import Stamp, check
from countersign.reporting.pack import Pinned
from countersign.store import stamps
from countersign.store.rotation import Beside
from countersign.web import words

ROOTS = "stamps/roots.pem"


class Stamped(msgspec.Struct, frozen=True):
    """files: by name. facts: for the head of the report. withheld: what was left out, in words."""

    files: dict[str, bytes] = {}
    facts: tuple[tuple[str, str], ...] = ()
    withheld: tuple[str, ...] = ()


class _Held(msgspec.Struct, frozen=True):
    stamp: Stamp
    at_ms: int
    proof: tuple[bytes, ...]


def stamped(beside: Beside, log: Pinned, cited: Sequence[int], roots: Sequence[Certificate]) -> Stamped:
    """The oldest stamp that covers every entry cited, and the largest of all that the checkpoint covers; where none covers
    all that is cited, the largest alone. beside: where the log's stamps are published."""
    sizes = [size for size in stamps.sizes(beside) if 0 < size <= log.head.size]
    if not sizes:
        return Stamped()
    if not roots:
        return Stamped(withheld=("timestamps: no root certificate to check them by (ledger.timestamps.ca)",))
    trial = _Trial(beside, log, roots)
    largest = trial.first(reversed(sizes))
    oldest = trial.first(size for size in sizes if size > max(cited, default=0))
    held = {one.stamp.size: one for one in (oldest, largest) if one is not None}
    files = {name: data for one in held.values() for name, data in _files(one).items()}
    if files:
        files[ROOTS] = b"".join(root.public_bytes(Encoding.PEM) for root in roots)
    return Stamped(files, tuple(_fact(held[size]) for size in sorted(held)), tuple(_left(sorted(trial.refused))))


class _Trial:
    """Tries stamps until one holds, and remembers those that do not."""

    def __init__(self, beside: Beside, log: Pinned, roots: Sequence[Certificate]) -> None:
        self._beside, self._log, self._roots = beside, log, roots
        self.refused: set[int] = set()

    def first(self, sizes: Iterable[int]) -> _Held | None:
        for size in sizes:
            try:
                return self._held(stamps.read(self._beside, size))
            except VerificationError:
                self.refused.add(size)
        return None

    def _held(self, stamp: Stamp) -> _Held:
        """Raises VerificationError where it does not hold or is of another log."""
        at_ms = check(stamp.signed, stamp.token, self._roots)
        seen, head = parse_checkpoint(split_note(stamp.signed)[0]), self._log.head
        if (seen.origin, seen.size) != (head.origin, stamp.size):
            raise VerificationError("is not over the checkpoint that its name says")
        proof = consistency_proof(seen.size, head.size, self._log)
        verify_consistency(seen.size, head.size, seen.root, head.root, proof)
        return _Held(stamp, at_ms, tuple(proof))


def _files(one: _Held) -> dict[str, bytes]:
    name = f"stamps/{one.stamp.size}"
    proof = "".join(f"{b64(node)}\n" for node in one.proof).encode()
    return {f"{name}.note": one.stamp.signed, f"{name}.tsr": one.stamp.token, f"{name}.consistency": proof}


def _left(refused: Sequence[int]) -> Iterator[str]:
    if refused:
        yield f"timestamps that do not hold, the first over {refused[0]:,} entries: see `countersign verify --ca`"


def _fact(one: _Held) -> tuple[str, str]:
    return "Seen by a timestamping authority (UTC)", f"the first {one.stamp.size:,} entries by {words.stamp(one.at_ms)}"

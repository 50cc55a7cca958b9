"""Cosignatures of witnesses: C2SP tlog-cosignature, Ed25519 (``cosignature/v1``, key type 4) only.

A cosignature says that, as of its time, the checkpoint is the largest that the witness has seen of the log, and that it
extends every one before. It stands as one more signature line of the note; whoever knows only the log's key passes over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from countersign.errors import UsageError, VerificationError
from countersign.ledger.note import SIGNATURES_MAX, Signature, b64, is_key_name, split_note, unb64
from countersign.ports import Signer

ALGORITHM_COSIGNATURE = b"\x04"
TIME_BYTES = 8
SIGNED_BYTES = TIME_BYTES + 64
TIME_MAX_S = 2**63 - 1


class WitnessKey(msgspec.Struct, frozen=True):
    """Key of a witness: ``name`` and 32 bytes of Ed25519 public key."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """First four bytes of SHA-256(name ‖ newline ‖ 0x04 ‖ public key)."""
        return sha256(self.name.encode() + b"\n" + ALGORITHM_COSIGNATURE + self.public_key).digest()[:4]

    def __str__(self) -> str:
        """``name+hash+base64(0x04 ‖ public key)``."""
        return f"{self.name}+{self.key_id.hex()}+{b64(ALGORITHM_COSIGNATURE + self.public_key)}"


class Cosignature(NamedTuple):
    """One that holds: whose, and when it was made, in seconds since the epoch."""

    by: WitnessKey
    at_s: int


def parse_witness_key(text: str) -> WitnessKey:
    """Read ``name+hash+base64`` of type 4; raises UsageError that says which part is wrong."""
    parts = text.split("+", 2)
    if len(parts) != 3 or not is_key_name(parts[0]):
        raise UsageError("not a witness key", todo="give it as name+hash+base64, as the witness prints it")
    raw = unb64(parts[2])
    if raw is None or len(raw) != 33 or raw[:1] != ALGORITHM_COSIGNATURE:
        raise UsageError(f"key of {parts[0]} is not an Ed25519 cosignature key (type 4, 32 bytes)")
    key = WitnessKey(parts[0], raw[1:])
    if key.key_id.hex() != parts[1]:
        raise UsageError(f"witness key of {key.name} is damaged: its hash is {key.key_id.hex()}, not {parts[1]}")
    return key


def message(text: str, at_s: int) -> bytes:
    """What a witness signs: two lines before the whole text of the checkpoint."""
    return f"cosignature/v1\ntime {at_s}\n{text}".encode()


def cosign(text: str, signer: Signer, at_s: int) -> Signature:
    """The signature line of a witness under a checkpoint's text. at_s: seconds since the epoch."""
    key = WitnessKey(signer.name, signer.public_key)
    return Signature(key.name, key.key_id, at_s.to_bytes(TIME_BYTES, "big") + signer.sign(message(text, at_s)))


def cosignatures(signed: bytes, witnesses: Sequence[WitnessKey]) -> tuple[Cosignature, ...]:
    """Those in a signed note that were made by these witnesses, one for each: the newest.

    Raises VerificationError when one that bears a witness's name and key id does not hold; others are passed over.
    """
    text, lines = split_note(signed)
    known = {(key.name, key.key_id): key for key in witnesses}
    found: dict[WitnessKey, int] = {}
    for line in lines:
        key = known.get((line.name, line.key_id))
        if key is not None:
            found[key] = max(_verified(text, key, line), found.get(key, 0))
    return tuple(Cosignature(key, at_s) for key, at_s in found.items())


def _verified(text: str, key: WitnessKey, line: Signature) -> int:
    """The time of a cosignature that holds."""
    at_s = int.from_bytes(line.raw[:TIME_BYTES], "big")
    if len(line.raw) != SIGNED_BYTES or not 0 < at_s <= TIME_MAX_S:
        raise VerificationError(f"cosignature by {key.name}+{key.key_id.hex()} is not in form")
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(line.raw[TIME_BYTES:], message(text, at_s))
    except InvalidSignature:
        raise VerificationError(f"cosignature by {key.name}+{key.key_id.hex()} does not hold") from None
    return at_s


def check_quorum(signed: bytes, witnesses: Sequence[WitnessKey], quorum: int) -> tuple[Cosignature, ...]:
    """The witnesses' cosignatures under a note. Raises VerificationError when one does not hold or there are too few; two
    names of one key count once."""
    found = cosignatures(signed, witnesses)
    have = len({each.by.public_key for each in found})
    if have < quorum:
        missing = ", ".join(key.name for key in witnesses if key not in {each.by for each in found})
        raise VerificationError(f"{have} of {quorum} cosignatures that are needed (missing: {missing or 'more witnesses'})")
    return found


def with_signatures(signed: bytes, more: Sequence[Signature]) -> bytes:
    """The note with further signature lines; a later one of the same key takes the earlier one's place."""
    text, lines = split_note(signed)
    merged = {(line.name, line.key_id): line for line in (*lines, *more)}
    if len(merged) > SIGNATURES_MAX:
        raise VerificationError(f"signed note would have over {SIGNATURES_MAX} signatures")
    return f"{text}\n{''.join(signature_line(line) for line in merged.values())}".encode()


def signature_line(line: Signature) -> str:
    """The line as it stands in a note, newline and all."""
    return f"— {line.name} {b64(line.key_id + line.raw)}\n"

"""Signed notes and checkpoints: C2SP signed-note and tlog-checkpoint, Ed25519 (signature type 1) only.

Everything is refused that is not exactly in form: base64 with stray bits, leading zeros, control characters. Signatures
by keys we do not know are carried, never counted; a bad signature by a key we know refuses the whole note.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from countersign.errors import UsageError, VerificationError
from countersign.ports import Signer

ALGORITHM_ED25519 = b"\x01"
NOTE_BYTES_MAX = 1_000_000
SIGNATURES_MAX = 100
SIZE_MAX = 2**63 - 1


class VerifierKey(msgspec.Struct, frozen=True):
    """A key that may sign: ``name`` and 32 bytes of Ed25519 public key."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """First four bytes of SHA-256(name ‖ newline ‖ 0x01 ‖ public key)."""
        return sha256(self.name.encode() + b"\n" + ALGORITHM_ED25519 + self.public_key).digest()[:4]

    def __str__(self) -> str:
        """``name+hash+base64(0x01 ‖ public key)``."""
        return f"{self.name}+{self.key_id.hex()}+{b64(ALGORITHM_ED25519 + self.public_key)}"


def parse_vkey(text: str) -> VerifierKey:
    """Read ``name+hash+base64``; raises UsageError that says which part is wrong."""
    parts = text.split("+", 2)
    if len(parts) != 3 or not is_key_name(parts[0]):
        raise UsageError("not a verifier key", todo="give it as name+hash+base64, as in log.vkey")
    raw = unb64(parts[2])
    if raw is None or len(raw) != 33 or raw[:1] != ALGORITHM_ED25519:
        raise UsageError(f"verifier key of {parts[0]} is not an Ed25519 key (type 1, 32 bytes)")
    key = VerifierKey(parts[0], raw[1:])
    if key.key_id.hex() != parts[1]:
        raise UsageError(f"verifier key of {key.name} is damaged: its hash is {key.key_id.hex()}, not {parts[1]}")
    return key


def is_key_name(name: str) -> bool:
    """Non-empty, without white space, control characters and plus signs."""
    return bool(name) and not any(c == "+" or c.isspace() or c < " " or "\ud800" <= c <= "\udfff" for c in name)


class Signature(NamedTuple):
    """One signature line: ``raw`` is what follows the four bytes of key id."""

    name: str
    key_id: bytes
    raw: bytes


class Note(NamedTuple):
    """A note of which at least one signature was verified. ``text`` ends in a newline."""

    text: str
    verified: tuple[Signature, ...]
    unverified: tuple[Signature, ...]


def sign_note(text: str, signer: Signer, others: Sequence[Signature] = ()) -> bytes:
    """The note ``text``, ending in a newline, with this signature and then ``others``."""
    if not text.endswith("\n") or not _is_note_text(text):
        raise UsageError("note text must be one or more lines without control characters, each ending in a newline")
    if not is_key_name(signer.name):
        raise UsageError(f"{signer.name!r} cannot name a key", todo="use neither white space nor plus")
    key = VerifierKey(signer.name, signer.public_key)
    mine = Signature(key.name, key.key_id, signer.sign(text.encode()))
    lines = [f"— {name} {b64(key_id + raw)}\n" for name, key_id, raw in (mine, *others)]
    return f"{text}\n{''.join(lines)}".encode()


def open_note(data: bytes, keys: Sequence[VerifierKey]) -> Note:
    """The note in ``data``; VerificationError unless a known key signed it and no known key's signature is bad."""
    text, signatures = split_note(data)
    known = {(key.name, key.key_id): key for key in keys}
    verified, unverified = [], []
    for signature in signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            unverified.append(signature)
            continue
        try:
            Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature.raw, text.encode())
        except InvalidSignature:
            raise VerificationError(f"signature by {key.name}+{key.key_id.hex()} does not hold") from None
        verified.append(signature)
    if not verified:
        signers = ", ".join(f"{s.name}+{s.key_id.hex()}" for s in unverified)
        raise VerificationError(f"no signature by a trusted key (signed by {signers})", todo="check --key")
    return Note(text, tuple(verified), tuple(unverified))


def split_note(data: bytes) -> tuple[str, tuple[Signature, ...]]:
    """(text, signatures), nothing verified. Raises VerificationError when ``data`` is not in form."""
    if len(data) > NOTE_BYTES_MAX:
        raise VerificationError(f"signed note of {len(data)} bytes is over the limit of {NOTE_BYTES_MAX}")
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise VerificationError(f"signed note is not UTF-8 at byte {error.start}") from error
    text, blank, tail = whole.rpartition("\n\n")
    if not blank or not tail.endswith("\n") or not _is_note_text(whole):
        raise VerificationError("not a signed note: text, an empty line, then signature lines are expected")
    lines = tail[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise VerificationError(f"signed note has over {SIGNATURES_MAX} signatures")
    return text + "\n", tuple(_signature(line) for line in lines)


def _signature(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    raw = unb64(encoded)
    if dash != "—" or not is_key_name(name) or raw is None or len(raw) < 5:
        raise VerificationError(f"not a signature line: {line[:80]!r}")
    return Signature(name, raw[:4], raw[4:])


def _is_note_text(text: str) -> bool:
    return not any(c < " " and c != "\n" for c in text)


class Checkpoint(msgspec.Struct, frozen=True):
    """The head of a log: ``size`` entries under ``root`` (32 bytes)."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The note text that is signed."""
        return "".join(f"{line}\n" for line in (self.origin, str(self.size), b64(self.root), *self.extensions))


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint's text; raises VerificationError at any deviation."""
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() != "" or not all(lines):
        raise VerificationError("not a checkpoint: origin, size and root are expected, each on its own line")
    size, root = lines[1], unb64(lines[2])
    if not (size.isascii() and size.isdigit()) or (size[0] == "0" and size != "0") or len(size) > 19:
        raise VerificationError(f"checkpoint size {size[:30]!r} is not a plain decimal number")
    if int(size) > SIZE_MAX:
        raise VerificationError(f"checkpoint size {size} is over 2^63-1")
    if root is None or len(root) != 32:
        raise VerificationError("checkpoint root is not the base64 of 32 bytes")
    return Checkpoint(lines[0], int(size), root, tuple(lines[3:]))


def open_checkpoint(data: bytes, keys: Sequence[VerifierKey]) -> Checkpoint:
    """The checkpoint in a signed note, signed by a trusted key that bears the log's own name."""
    note = open_note(data, keys)
    checkpoint = parse_checkpoint(note.text)
    if all(signature.name != checkpoint.origin for signature in note.verified):
        raise VerificationError(f"checkpoint of {checkpoint.origin} is signed only by {note.verified[0].name}")
    return checkpoint


def b64(raw: bytes) -> str:
    """Base64 with padding (RFC 4648 section 4)."""
    return base64.b64encode(raw).decode()


def unb64(text: str) -> bytes | None:
    """Strict base64 (RFC 4648 section 4): None for anything that would not encode back to the same text."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    return raw if b64(raw) == text else None

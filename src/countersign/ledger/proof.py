"""Offline proof that one entry is in the log: C2SP ``tlog-proof@v1``.

A proof is text: a header, the entry's index, the audit path one hash per line, an empty line, and the signed checkpoint
as it is. Whoever has the entry's bytes and the log's verifier key can check it without the log.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import msgspec

from countersign.errors import NotFoundError, VerificationError
from countersign.ledger.merkle import inclusion_proof, leaf_hash, verify_inclusion
from countersign.ledger.note import Checkpoint, VerifierKey, open_checkpoint
from countersign.ledger.record import LogReader
from countersign.ledger.tiles import TILE_WIDTH, decode_bundle, width_at

HEADER = "c2sp.org/tlog-proof@v1"
PATH_MAX = 63


class Proof(msgspec.Struct, frozen=True):
    """``path`` are 32-byte hashes, leaf's sibling first; ``checkpoint`` the signed note; ``extra`` is not authenticated."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""


def make_proof(log: LogReader, index: int, keys: Sequence[VerifierKey]) -> tuple[Proof, bytes]:
    """(proof, entry) of entry ``index`` under the log's checkpoint, checked before it is handed out.

    Raises NotFoundError when no checkpoint covers the entry, VerificationError when the log does not prove it.
    """
    signed = log.checkpoint()
    if signed is None:
        raise NotFoundError("log has no checkpoint yet", where=f"entry {index}", todo="wait for the next seal")
    checkpoint = open_checkpoint(signed, keys)
    if not 0 <= index < checkpoint.size:
        what = f"log covers entries 0 to {checkpoint.size - 1}" if checkpoint.size else "log is empty"
        raise NotFoundError(what, where=f"entry {index}", todo="an entry is provable once it is sealed")
    bundle, place = divmod(index, TILE_WIDTH)
    entries, _ = decode_bundle(log.bundle(bundle, width_at(checkpoint.size, 0, bundle)) or b"")
    if place >= len(entries):
        raise VerificationError("entry bundle does not hold it", where=f"entry {index}", todo="run countersign verify")
    path = tuple(inclusion_proof(index, checkpoint.size, log))
    verify_inclusion(leaf_hash(entries[place]), index, checkpoint.size, path, checkpoint.root)
    return Proof(index, path, signed), entries[place]


def format_proof(proof: Proof) -> str:
    """The proof as text."""
    extra = [f"extra {base64.b64encode(proof.extra).decode()}"] if proof.extra else []
    path = [base64.b64encode(node).decode() for node in proof.path]
    lines = [HEADER, *extra, f"index {proof.index}", *path, "", ""]
    return "\n".join(lines) + proof.checkpoint.decode()


def parse_proof(text: str) -> Proof:
    """Read a proof; raises VerificationError at any deviation."""
    head, blank, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines[0] != HEADER:
        raise VerificationError(f"not a proof: the first line must be {HEADER}")
    at = 1
    extra = b""
    if lines[1:2] and lines[1].startswith("extra "):
        extra, at = _b64(lines[1].removeprefix("extra ")), 2
    if not lines[at:] or not lines[at].startswith("index "):
        raise VerificationError("not a proof: the index line is missing")
    number = lines[at].removeprefix("index ")
    if not (number.isascii() and number.isdigit()) or (number.startswith("0") and number != "0") or len(number) > 19:
        raise VerificationError(f"proof index {number[:30]!r} is not a plain decimal number")
    path = tuple(_b64(line) for line in lines[at + 1 :])
    if len(path) > PATH_MAX or any(len(node) != 32 for node in path):
        raise VerificationError(f"proof path must be at most {PATH_MAX} hashes of 32 bytes")
    return Proof(int(number), path, checkpoint.encode(), extra)


def verify_proof(text: str, entry: bytes, keys: Sequence[VerifierKey]) -> Checkpoint:
    """The checkpoint under which ``entry`` is proved to stand; raises VerificationError when it is not."""
    proof = parse_proof(text)
    checkpoint = open_checkpoint(proof.checkpoint, keys)
    verify_inclusion(leaf_hash(entry), proof.index, checkpoint.size, proof.path, checkpoint.root)
    return checkpoint


def _b64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raw = b""
    if not raw or base64.b64encode(raw).decode() != text:
        raise VerificationError(f"proof line {text[:60]!r} is not base64")
    return raw

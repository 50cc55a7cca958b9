"""What passes between a log and a witness, and when a witness cosigns: C2SP tlog-witness, ``add-checkpoint``.

The order of the checks and their status codes are the specification's (version 1.1.0; before it, another root at the same
size was 409 where it is 422 now).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import msgspec

from countersign.errors import VerificationError
from countersign.ledger.merkle import EMPTY_ROOT, contradicts, verify_consistency
from countersign.ledger.note import (
    SIZE_MAX,
    Checkpoint,
    Note,
    Signature,
    VerifierKey,
    b64,
    open_note,
    parse_checkpoint,
    split_note,
    unb64,
)

PROOF_MAX = 63
SIZE_TYPE = "text/x.tlog.size"
"""Media type of the 409 that names the size which the witness cosigned last."""
BAD_REQUEST, FORBIDDEN, NOT_FOUND, CONFLICT, INCONSISTENT = 400, 403, 404, 409, 422


class WitnessRefusal(VerificationError):
    """The witness does not cosign. status: of HTTP. size: of the last checkpoint that it cosigned, where the answer is to
    name it. shown: whether the request itself shows that the log signed two histories."""

    code = "witness.refused"

    def __init__(self, status: int, what: str, size: int | None = None, *, shown: bool = False) -> None:
        super().__init__(what)
        self.shown = shown
        self.status = status
        self.size = size


class Request(msgspec.Struct, frozen=True):
    """old: size from which the proof leads. proof: hashes of 32 bytes. signed: the checkpoint as a note."""

    old: int
    proof: tuple[bytes, ...]
    signed: bytes

    @property
    def body(self) -> bytes:
        """As it is sent."""
        head = [f"old {self.old}\n", *(f"{b64(node)}\n" for node in self.proof), "\n"]
        return "".join(head).encode() + self.signed


def parse_request(body: bytes) -> tuple[Request, Checkpoint]:
    """The request and the checkpoint in it, no signature checked. Raises WitnessRefusal (400) at any deviation."""
    head, blank, signed = body.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n") if blank else []
    except UnicodeDecodeError:
        lines = []
    if not lines or not lines[0].startswith("old "):
        raise WitnessRefusal(BAD_REQUEST, "old size, proof and an empty line before the checkpoint are expected")
    old = parse_size(lines[0].removeprefix("old "))
    proof = tuple(unb64(line) or b"" for line in lines[1:])
    if old is None:
        raise WitnessRefusal(BAD_REQUEST, "old size is not a plain decimal number")
    if len(proof) > PROOF_MAX or any(len(node) != 32 for node in proof):
        raise WitnessRefusal(BAD_REQUEST, f"proof must be at most {PROOF_MAX} hashes of 32 bytes in base64")
    try:
        checkpoint = parse_checkpoint(split_note(signed)[0])
    except VerificationError as error:
        raise WitnessRefusal(BAD_REQUEST, error.what) from error
    return Request(old, proof, signed), checkpoint


def parse_size(text: str) -> int | None:
    """A tree size in plain decimal, None for anything else."""
    if not (text.isascii() and text.isdigit()) or (text[0] == "0" and text != "0") or len(text) > 19:
        return None
    return int(text) if int(text) <= SIZE_MAX else None


def check_signed(request: Request, checkpoint: Checkpoint, keys: Sequence[VerifierKey]) -> Note:
    """The note, signed by the log. keys: those trusted for its origin. Raises WitnessRefusal (404, 403)."""
    if not keys:
        raise WitnessRefusal(NOT_FOUND, f"log {checkpoint.origin[:80]} is not known here")
    try:
        return open_note(request.signed, keys)
    except VerificationError as error:
        raise WitnessRefusal(FORBIDDEN, error.what) from error


def check_extends(request: Request, checkpoint: Checkpoint, latest: Checkpoint | None) -> None:
    """Raises WitnessRefusal (400, 409, 422) unless the checkpoint extends the last that was cosigned. latest: that one,
    None where there is none yet."""
    size, root = (latest.size, latest.root) if latest else (0, EMPTY_ROOT)
    if request.old > checkpoint.size:
        raise WitnessRefusal(BAD_REQUEST, f"old size {request.old} is over the checkpoint's {checkpoint.size}")
    if request.old != size:
        raise WitnessRefusal(CONFLICT, f"the last checkpoint cosigned here is of {size} entries", size)
    if not checkpoint.size and checkpoint.root != EMPTY_ROOT:
        raise WitnessRefusal(INCONSISTENT, "root of a log without entries is not that of an empty tree", shown=True)
    try:
        verify_consistency(size, checkpoint.size, root, checkpoint.root, request.proof)
    except VerificationError as error:
        shown = contradicts(size, checkpoint.size, root, checkpoint.root, request.proof)
        raise WitnessRefusal(INCONSISTENT, error.what, shown=shown) from error


def origin_hash(origin: str) -> str:
    """Under which a witness shows a log's latest checkpoint: SHA-256 of the origin, hex."""
    return sha256(origin.encode()).hexdigest()


def parse_lines(body: bytes) -> tuple[Signature, ...]:
    """Signature lines of an answer. Raises VerificationError when it is anything else."""
    return split_note(b"-\n\n" + body)[1]

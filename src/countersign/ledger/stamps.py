"""RFC 3161 timestamps over checkpoints: a third party says by when the log held what it holds.

What is stamped is the signed note itself, so that ``openssl ts -verify`` needs nothing but the two files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC
from functools import lru_cache
from typing import cast

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, InvalidVersion, load_der_x509_certificate
from rfc3161_client import (
    HashAlgorithm,
    SignerInfo,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerifierBuilder,
    decode_timestamp_response,
)
from rfc3161_client import VerificationError as StampError

from countersign.errors import VerificationError
from countersign.ledger import answer
from countersign.ledger.answer import Answer, CertificateId
from countersign.ledger.findings import Problem
from countersign.ledger.merkle import Tree
from countersign.ledger.note import Checkpoint, VerifierKey, open_checkpoint
from countersign.ledger.record import LogReader
from countersign.ledger.tiles import HASH_BYTES, TileAt, width_at


class Stamp(msgspec.Struct, frozen=True):
    """A signed checkpoint and the authority's answer over it. size: of the checkpoint, as its files are called."""

    size: int
    signed: bytes
    token: bytes


class Asked(msgspec.Struct, frozen=True):
    """A request for a stamp: its DER, and the nonce that the answer must repeat."""

    body: bytes
    nonce: int | None


def ask(signed: bytes) -> Asked:
    """A request (SHA-256, with nonce, asking for the authority's certificate) for a stamp over a signed checkpoint."""
    request = TimestampRequestBuilder().data(signed).hash_algorithm(HashAlgorithm.SHA256).build()
    return Asked(request.as_bytes(), request.nonce)


def check(signed: bytes, token: bytes, roots: Sequence[Certificate], nonce: int | None = None) -> int:
    """When the authority saw this checkpoint, in milliseconds since the epoch. Raises VerificationError."""
    sent = answer.parse(token)
    read = _Read(sent)
    try:
        VerifierBuilder(roots=list(roots), nonce=nonce).build().verify_message(cast("TimeStampResponse", read), signed)
        _check_signer(sent, read, roots)
        return int(read.tst_info.gen_time.astimezone(UTC).timestamp() * 1000)
    except (StampError, ValueError, InvalidVersion, UnsupportedAlgorithm) as error:
        raise VerificationError(f"timestamp does not hold: {' '.join(str(error).split())[:200]}") from error


class _Read:
    """An answer as the library reads it, which checks the signature over the token as it was signed."""

    def __init__(self, sent: Answer) -> None:
        try:
            read = decode_timestamp_response(sent.der)
            self.status, self.signed_data, self.tst_info = read.status, read.signed_data, read.tst_info
        except ValueError as error:
            raise VerificationError("timestamp is not an RFC 3161 answer") from error
        self._token = sent.token

    def time_stamp_token(self) -> bytes:
        return self._token


def _check_signer(sent: Answer, read: _Read, roots: Sequence[Certificate]) -> None:
    """The signature names the certificate that it is to be checked with, so that none can be put in its place (RFC 3161,
    section 2.4.2). Raises ValueError."""
    (info,) = read.signed_data.signer_infos
    known = {one.public_bytes(Encoding.DER) for one in roots} | set(read.signed_data.certificates)
    own = [one for one in known if _is_of(load_der_x509_certificate(one), info)]
    if not sent.signers or len(own) != 1:
        raise ValueError("its signature names no certificate of its own")
    for first, *others in sent.signers:
        if not _named(first, own) or not all(_named(one, known) for one in others):
            raise ValueError("its signature names another certificate")


def _is_of(certificate: Certificate, info: SignerInfo) -> bool:
    return (certificate.issuer, certificate.serial_number) == (info.issuer, info.serial_number)


def _named(by: CertificateId, certificates: Iterable[bytes]) -> bool:
    return by.hashed != "" and any(hashlib.new(by.hashed, one).digest() == by.digest for one in certificates)


class Stamped(msgspec.Struct, frozen=True):
    """What the stamps of a log say. covered: entries under the largest stamp in which nothing was found wrong."""

    covered: int
    problems: tuple[Problem, ...]


def judge(log: LogReader, stamps: Iterable[Stamp], keys: Sequence[VerifierKey], roots: Sequence[Certificate]) -> Stamped:
    """Looks at the stamps of a log, whose tiles must have been verified: does each hold, and does this log extend its
    checkpoint? Without roots only the latter is looked at. Raises VerificationError where the log has no checkpoint."""
    newest = open_checkpoint(log.checkpoint() or b"", keys)
    tiles = _Tiles(log, newest.size)
    covered, found = 0, []
    for stamp in stamps:
        try:
            checkpoint = _opened(stamp, keys)
            _extends(tiles, newest, checkpoint)
            if roots:
                check(stamp.signed, stamp.token, roots)
            covered = max(covered, checkpoint.size)
        except VerificationError as error:
            found.append(Problem(None, f"stamp {stamp.size}: {error}"))
    return Stamped(covered, tuple(found))


def _opened(stamp: Stamp, keys: Sequence[VerifierKey]) -> Checkpoint:
    if not stamp.signed or not stamp.token:
        raise VerificationError("its checkpoint or the answer over it is not there")
    checkpoint = open_checkpoint(stamp.signed, keys)
    if checkpoint.size != stamp.size:
        raise VerificationError(f"is over a checkpoint of {checkpoint.size} entries")
    return checkpoint


class _Tiles:
    """Hash tiles of a log of ``size`` entries, each read once while it is wanted again and again."""

    def __init__(self, log: LogReader, size: int) -> None:
        self._size = size
        self._read = lru_cache(maxsize=64)(log.tile)

    def __call__(self, at: TileAt) -> bytes:
        data = self._read(at.level, at.index, width_at(self._size, at.level, at.index))
        return (data or b"")[: at.width * HASH_BYTES]


def _extends(tiles: _Tiles, newest: Checkpoint, older: Checkpoint) -> None:
    if older.origin != newest.origin:
        raise VerificationError(f"is of log {older.origin}, this one is {newest.origin}")
    if older.size > newest.size:
        what = f"covers {older.size} entries, this log only {newest.size}: it was truncated or rolled back"
        raise VerificationError(what)
    if Tree.load(older.size, tiles).root() != older.root:
        raise VerificationError(f"the first {older.size} entries are not those that were stamped")

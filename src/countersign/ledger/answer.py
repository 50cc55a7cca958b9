"""Answers of timestamping authorities (RFC 3161) in the one form that is read here, DER.

CMS (RFC 5652) lets a sender write lengths and order sets as BER allows, and authorities do: above all they list their
certificates in the order of the chain. Nothing of that is signed but two things, which are kept as they were sent: the
octets of the TSTInfo, and the order of the signed attributes. What comes out is checked afterwards like any other answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from countersign.errors import VerificationError

ANSWER_BYTES_MAX = 256 * 1024
DEPTH_MAX = 32
BOOLEAN, INTEGER, OCTETS, OID = 0x01, 0x02, 0x04, 0x06
SEQUENCE, SET, FIRST, SECOND = 0x30, 0x31, 0xA0, 0xA1
_CONSTRUCTED, _LONG_TAG, _INDEFINITE = 0x20, 0x1F, 0x80
_END = b"\0\0"
_SIGNING_CERTIFICATE = bytes.fromhex("2a864886f70d010910020c")  # RFC 2634: identifiers by SHA-1
_SIGNING_CERTIFICATE_V2 = bytes.fromhex("2a864886f70d010910022f")  # RFC 5035: SHA-256 unless another is named
_HASHES = {
    bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512",
}


class CertificateId(NamedTuple):
    """A certificate named by a digest of its DER. hashed: as hashlib calls it."""

    hashed: str
    digest: bytes


class Answer(msgspec.Struct, frozen=True):
    """der: the whole answer to be read, every set sorted. token: the signed part in which the signed attributes stand as
    sent, for whoever checks the signature over them. signers: each list by which the signature names its certificate, first
    the signer's own (RFC 2634, RFC 5035)."""

    der: bytes
    token: bytes
    signers: tuple[tuple[CertificateId, ...], ...]


def parse(raw: bytes) -> Answer:
    """Raises VerificationError where the authority granted nothing, or this is not its answer."""
    try:
        return _answer(raw)
    except (ValueError, IndexError) as error:
        raise VerificationError("timestamp is not an RFC 3161 answer") from error


class _Element(NamedTuple):
    """raw: as it was sent. body: what is in it."""

    tag: int
    body: bytes
    raw: bytes

    def children(self) -> list[_Element]:
        if not self.tag & _CONSTRUCTED:
            raise ValueError("holds no elements")
        return list(_elements(self.body))


def _answer(raw: bytes) -> Answer:
    if len(raw) > ANSWER_BYTES_MAX:
        raise ValueError("is too large")
    (whole,) = _elements(raw)
    status, *rest = _of(whole, SEQUENCE)
    _granted(_of(status, SEQUENCE)[0])
    (content,) = rest
    kind, explicit = _of(content, SEQUENCE)
    (signed,) = _of(explicit, FIRST)
    read, sent = ([_plain(kind), _tlv(FIRST, _signed_data(signed, sort=sort))] for sort in (True, False))
    granted = _tlv(SEQUENCE, _tlv(INTEGER, b"\0"))
    signers = tuple(_signers(signed))
    return Answer(_tlv(SEQUENCE, granted, _tlv(SEQUENCE, *read)), _tlv(SEQUENCE, *sent), signers)


def _granted(status: _Element) -> None:
    """With modifications is granted, too: nothing was asked for that could be modified."""
    if status.tag != INTEGER:
        raise ValueError("no status")
    if status.body not in (b"\0", b"\1"):
        raise VerificationError(f"authority did not grant the timestamp (status {int.from_bytes(status.body)})")


def _signed_data(signed: _Element, *, sort: bool) -> bytes:
    """SignedData. sort: also what is signed: attributes in the order of DER, the TSTInfo without what DER leaves out."""
    version, algorithms, encapsulated, *optional, infos = _of(signed, SEQUENCE)
    kind, explicit = _of(encapsulated, SEQUENCE)
    (octets,) = _of(explicit, FIRST)
    content = _tst_info(_octets(octets)) if sort else _octets(octets)
    return _tlv(
        SEQUENCE,
        _plain(version),
        _set(SET, map(_plain, _of(algorithms, SET))),
        _tlv(SEQUENCE, _plain(kind), _tlv(FIRST, _tlv(OCTETS, content))),
        *(_set(one.tag, (each.raw for each in one.children())) for one in optional),
        _set(SET, (_signer_info(one, sort=sort) for one in _of(infos, SET))),
    )


def _signer_info(info: _Element, *, sort: bool) -> bytes:
    """Unsigned attributes are left out: nothing here rests on them."""
    parts = []
    for one in _of(info, SEQUENCE):
        if one.tag == FIRST:
            attributes = [_plain(each) for each in one.children()]
            parts.append(_tlv(FIRST, *(sorted(attributes) if sort else attributes)))
        elif one.tag != SECOND:
            parts.append(_plain(one))
    return _tlv(SEQUENCE, *parts)


def _tst_info(octets: bytes) -> bytes:
    """With ``ordering FALSE`` left out, as it is the default."""
    (info,) = _elements(octets)
    return _tlv(SEQUENCE, *(_plain(one) for one in _of(info, SEQUENCE) if (one.tag, one.body) != (BOOLEAN, b"\0")))


def _signers(signed: _Element) -> Iterator[tuple[CertificateId, ...]]:
    (info,) = _of(_of(signed, SEQUENCE)[-1], SET)
    for attributes in (one for one in _of(info, SEQUENCE) if one.tag == FIRST):
        for kind, values in (_of(attribute, SEQUENCE) for attribute in attributes.children()):
            if kind.body in (_SIGNING_CERTIFICATE, _SIGNING_CERTIFICATE_V2):
                (value,) = _of(values, SET)
                named = _of(_of(value, SEQUENCE)[0], SEQUENCE)
                yield tuple(_certificate_id(_of(one, SEQUENCE), kind.body) for one in named)


def _certificate_id(fields: Sequence[_Element], kind: bytes) -> CertificateId:
    if kind == _SIGNING_CERTIFICATE:
        return CertificateId("sha1", fields[0].body)
    if fields[0].tag == SEQUENCE:
        return CertificateId(_HASHES.get(_of(fields[0], SEQUENCE)[0].body, ""), fields[1].body)
    return CertificateId("sha256", fields[0].body)


# --- encoding (X.690) -------------------------------------------------------------------------------------------------


def _of(one: _Element, tag: int) -> list[_Element]:
    if one.tag != tag:
        raise ValueError("is of another type")
    return one.children()


def _elements(raw: bytes, depth: int = 0) -> Iterator[_Element]:
    at = 0
    while at < len(raw):
        one = _element(raw, at, depth)
        yield one
        at += len(one.raw)


def _element(raw: bytes, at: int, depth: int) -> _Element:
    tag, size, start = raw[at], raw[at + 1], at + 2
    if tag & _LONG_TAG == _LONG_TAG or depth > DEPTH_MAX:
        raise ValueError("is nothing that an answer holds")
    if size == _INDEFINITE:
        return _until_end(raw, at, depth)
    if size > _INDEFINITE:
        width = size - _INDEFINITE
        size, start = int.from_bytes(raw[start : start + width]), start + width
    if start + size > len(raw):
        raise ValueError("is cut short")
    return _Element(tag, raw[start : start + size], raw[at : start + size])


def _until_end(raw: bytes, at: int, depth: int) -> _Element:
    """An element whose end is marked."""
    if not raw[at] & _CONSTRUCTED:
        raise ValueError("has no length")
    end = at + 2
    while raw[end : end + 2] != _END:
        end += len(_element(raw, end, depth + 1).raw)
    return _Element(raw[at], raw[at + 2 : end], raw[at : end + 2])


def _tlv(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body)
    if size < _INDEFINITE:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, _INDEFINITE | len(length))) + length + body


def _set(tag: int, parts: Iterator[bytes]) -> bytes:
    return _tlv(tag, *sorted(parts))


def _plain(one: _Element, depth: int = 0) -> bytes:
    """The same with lengths as DER writes them; sets stay in their order."""
    if depth > DEPTH_MAX:
        raise ValueError("is too deep")
    if one.tag == OCTETS | _CONSTRUCTED:
        return _tlv(OCTETS, _octets(one))
    if not one.tag & _CONSTRUCTED:
        return _tlv(one.tag, one.body)
    return _tlv(one.tag, *(_plain(each, depth + 1) for each in one.children()))


def _octets(one: _Element, depth: int = 0) -> bytes:
    """Of a string that may come in pieces."""
    if one.tag == OCTETS:
        return one.body
    if depth > DEPTH_MAX:
        raise ValueError("is too deep")
    return b"".join(_octets(each, depth + 1) for each in _of(one, OCTETS | _CONSTRUCTED))

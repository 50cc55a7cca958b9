"""Ask a Kerberos KDC whether it would let an account begin to sign in, without knowing its password (RFC 4120).

The request carries no pre-authentication, so no password is tried and no failure is counted. A KDC looks at the account
before it asks for the password: it answers that pre-authentication is required for one that may sign in, and that the
client's credentials have been revoked for one that is disabled.
"""

from __future__ import annotations

import secrets
import socket
import time
from enum import StrEnum

from countersign.actions.der import BITS, SEQUENCE, TEXT, TIME, elements, number, tlv
from countersign.errors import TargetFault

PORT = 88
_AS_REQ, _AS_REP, _ERROR = 0x6A, 0x6B, 0x7E
_PRINCIPAL, _SERVICE = 1, 2
_ETYPES = (18, 17, 23)
"""AES-256, AES-128, RC4: what a directory of any age knows."""
_MAX_BYTES = 65_536


class Answer(StrEnum):
    """What a KDC says of an account. ``OPEN``: it may go on to prove who it is."""

    OPEN = "open"
    REVOKED = "revoked"
    NOT_KNOWN = "not known"
    OTHER = "other"


_CODES = {6: Answer.NOT_KNOWN, 18: Answer.REVOKED, 23: Answer.OPEN, 24: Answer.OPEN, 25: Answer.OPEN}
"""18: CLIENT_REVOKED. 23: the password has run out, whoever has it may set a new one. 25: PREAUTH_REQUIRED."""


def ask(host: str, port: int, realm: str, name: str, timeout_s: float) -> Answer:
    """One request over TCP. Raises TargetFault when there is no answer that can be read."""
    where = f"KDC {host}:{port}"
    try:
        raw = _exchange(host, port, request(realm, name), timeout_s)
        return answer(raw)
    except TimeoutError as error:
        raise TargetFault(TargetFault.TIMEOUT, f"no answer within {timeout_s:g} s", where=where) from error
    except OSError as error:
        todo = "check that it is up and that Kerberos over TCP may reach it"
        raise TargetFault(
            TargetFault.UNREACHABLE, f"cannot be reached ({error.strerror or error})", where=where, todo=todo
        ) from error
    except ValueError as error:
        raise TargetFault(TargetFault.REFUSED, f"the answer is not Kerberos ({error})", where=where) from error


def request(realm: str, name: str) -> bytes:
    """AS-REQ for a ticket-granting ticket, without pre-authentication."""
    body = tlv(
        SEQUENCE,
        tlv(0xA0, tlv(BITS, b"\0" * 5)),  # no option
        tlv(0xA1, _principal(_PRINCIPAL, name)),
        tlv(0xA2, _text(realm)),
        tlv(0xA3, _principal(_SERVICE, "krbtgt", realm)),
        tlv(0xA5, tlv(TIME, b"20370913024805Z")),  # the latest date that every KDC takes
        tlv(0xA7, number(secrets.randbits(31))),
        tlv(0xA8, tlv(SEQUENCE, *(number(one) for one in _ETYPES))),
    )
    return tlv(_AS_REQ, tlv(SEQUENCE, tlv(0xA1, number(5)), tlv(0xA2, number(10)), tlv(0xA4, body)))


def answer(raw: bytes) -> Answer:
    """What an AS-REP or a KRB-ERROR means. Raises ValueError when it is neither."""
    tag, value = next(elements(raw), (0, b""))
    if tag == _AS_REP:  # an account that needs no pre-authentication
        return Answer.OPEN
    if tag != _ERROR:
        raise ValueError(f"tag {tag:#x}")
    fields = dict(elements(_inside(value, SEQUENCE)))
    return _CODES.get(int.from_bytes(_inside(fields.get(0xA6, b""), 0x02), "big"), Answer.OTHER)


def _inside(raw: bytes, wanted: int) -> bytes:
    tag, value = next(elements(raw), (0, b""))
    if tag != wanted:
        raise ValueError(f"tag {tag:#x} where {wanted:#x} belongs")
    return value


def _principal(kind: int, *names: str) -> bytes:
    return tlv(SEQUENCE, tlv(0xA0, number(kind)), tlv(0xA1, tlv(SEQUENCE, *(_text(name) for name in names))))


def _text(text: str) -> bytes:
    return tlv(TEXT, text.encode())


def _exchange(host: str, port: int, message: bytes, timeout_s: float) -> bytes:
    """timeout_s: for all of it, however slowly the other side speaks."""
    until = time.monotonic() + timeout_s
    with socket.create_connection((host, port), timeout_s) as link:
        link.sendall(len(message).to_bytes(4, "big") + message)
        size = int.from_bytes(_receive(link, 4, until), "big")
        if size > _MAX_BYTES:
            raise ValueError(f"{size} bytes")
        return _receive(link, size, until)


def _receive(link: socket.socket, size: int, until: float) -> bytes:
    got = b""
    while len(got) < size:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        link.settimeout(left)
        part = link.recv(size - len(got))
        if not part:
            raise ValueError("it ends early")
        got += part
    return got

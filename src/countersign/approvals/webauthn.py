"""Approvals signed with a passkey: bytes in, an answer out (W3C Web Authentication, level 3, section 7.2).

The challenge is ``SHA-256("countersign-approval-v1\\n" ‖ digest ‖ nonce)``: digest is the SHA-256 of the canonical bytes
in 64 hex digits, nonce the ``NONCE_CHARS`` hex digits of this one ceremony. The assertion is kept whole, so that the
challenge can be made again and everything checked from the ledger by whoever knows neither us nor our code."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

import cbor2
import msgspec

from countersign.approvals.change import PREFIX
from countersign.errors import VerificationError

TEXT_CHARS_MAX = 8_192
"""Of each part of an assertion; real ones come to a few hundred."""
CEREMONY_MS = 5 * 60_000
"""How long after a challenge its answer is taken."""
ES256, EDDSA, RS256 = -7, -8, -257
"""COSE algorithms (IANA) that are allowed."""
_TIME_CHARS, _MAC_CHARS = 12, 40
NONCE_CHARS = _TIME_CHARS + _MAC_CHARS
_DOMAIN = b"countersign-ceremony-v1\x00"


class Assertion(msgspec.Struct, frozen=True):
    """What an authenticator gave, each part in base64url without padding, as the browser writes it. nonce: of the
    ceremony."""

    credential: str
    authenticator_data: str
    client_data: str
    signature: str
    nonce: str


class Credential(msgspec.Struct, frozen=True):
    """A passkey as enrolled. credential, key: base64url; ``key`` is the COSE public key. sign_count: newest that was
    seen."""

    credential: str
    key: str
    rp_id: str
    sign_count: int = 0


def challenge(digest: str, nonce: str) -> bytes:
    """The 32 bytes that a passkey signs to approve what has this digest (hex)."""
    return hashlib.sha256(PREFIX + digest.encode("ascii") + nonce.encode("ascii")).digest()


def verify(given: Assertion, digest: str, by: Credential, origin: str) -> int:
    """The authenticator's new sign count. origin: the console's own address as browsers say it. Raises VerificationError for
    anything else: another digest, nonce, key, site or origin, a user who was not verified, a count that did not grow."""
    if given.credential != by.credential:
        raise _bad("made with another passkey")
    wanted = challenge(digest, _plain(given.nonce, "nonce"))
    named = {
        "clientDataJSON": given.client_data,
        "authenticatorData": given.authenticator_data,
        "signature": given.signature,
    }
    for name, text in named.items():
        unb64(_plain(text, name), name)
    _allowed(unb64(by.key, "key"))
    return _checked(given, named, wanted, by, origin)


def _checked(given: Assertion, named: dict[str, str], wanted: bytes, by: Credential, origin: str) -> int:
    # here, not above: it brings all forms of attestation along, which takes longer than most commands
    from webauthn import verify_authentication_response  # noqa: PLC0415
    from webauthn.helpers.exceptions import WebAuthnException  # noqa: PLC0415

    try:
        found = verify_authentication_response(
            credential={"id": by.credential, "rawId": by.credential, "type": "public-key", "response": named},
            expected_challenge=wanted,
            expected_rp_id=by.rp_id,
            expected_origin=origin,
            credential_public_key=unb64(by.key, "key"),
            credential_current_sign_count=by.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise _bad(_words(error)) from error
    if _crosses(unb64(given.client_data, "clientDataJSON")):
        raise _bad("made inside a page of another site")
    return found.new_sign_count


def origin_of(given: Assertion) -> str:
    """The address that the browser says it stood at. Raises VerificationError."""
    try:
        said = msgspec.json.decode(unb64(given.client_data, "clientDataJSON"))
        return str(said["origin"])
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise _bad("cannot be read") from error


def nonce(key: bytes, person: str, digest: str, now_ms: int) -> str:
    """A nonce for one ceremony of one person over one digest: it says when it was made, and only this site can make it."""
    at = f"{now_ms:0{_TIME_CHARS}x}"
    return at + _mac(key, person, digest, at)


def fresh(key: bytes, text: str, person: str, digest: str, now_ms: int) -> None:
    """Raises VerificationError unless the nonce is this site's, for this person and digest, and of the last minutes."""
    at, mac = text[:_TIME_CHARS], text[_TIME_CHARS:]
    if len(text) != NONCE_CHARS or not text.isascii() or not hmac.compare_digest(mac, _mac(key, person, digest, at)):
        raise _bad("answers no question that was asked here")
    if not 0 <= now_ms - int(at, 16) <= CEREMONY_MS:
        raise _bad("took longer than five minutes")


def b64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str, name: str) -> bytes:
    """Its inverse; only the one spelling that ``b64`` gives. Raises VerificationError."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        data = b""
    if not data or b64(data) != text:
        raise _bad(f"{name} is damaged")
    return data


def _allowed(key: bytes) -> None:
    """Raises VerificationError unless a COSE key is ES256 on P-256, Ed25519 or RS256: what a short script can check."""
    try:
        found = cbor2.loads(key)
        kind, algorithm, curve = found[1], found[3], found.get(-1)
    except (cbor2.CBORDecodeError, LookupError, TypeError, AttributeError, ValueError) as error:
        raise _bad("its key cannot be read") from error
    if algorithm == RS256 and kind == 3:
        return
    if (kind, algorithm, curve) not in {(2, ES256, 1), (1, EDDSA, 6)}:
        raise _bad("its key is of a kind that is not allowed")


def _mac(key: bytes, person: str, digest: str, at: str) -> str:
    said = _DOMAIN + b"\x00".join(part.encode() for part in (person, digest, at))
    return hmac.new(key, said, hashlib.sha256).hexdigest()[:_MAC_CHARS]


def _plain(text: str, name: str) -> str:
    if not text.isascii() or len(text) > TEXT_CHARS_MAX:
        raise _bad(f"{name} is damaged")
    return text


def _crosses(client_data: bytes) -> bool:
    said = msgspec.json.decode(client_data)
    return bool(said.get("crossOrigin")) or "topOrigin" in said


def _words(error: Exception) -> str:
    """What did not hold, in our words where we know it."""
    text = str(error)
    known = {
        "challenge": "made for something else",
        "origin": "made at another address",
        "RP ID": "made for another site",
        "not present": "nobody touched the authenticator",
        "not verified": "the authenticator did not verify its user",
        "sign count": "the authenticator's count did not grow: it may be a copy",
        "signature": "does not match message and key",
    }
    return next((said for part, said in known.items() if part in text), "cannot be read")


def _bad(what: str) -> VerificationError:
    return VerificationError(f"passkey's signature refused: {what}", todo="read it again and approve anew")

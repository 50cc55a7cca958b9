"""OpenSSH signatures (``ssh-keygen -Y sign``): read and verified (openssh-portable, PROTOCOL.sshsig, version 1).

What is signed is not the message but ``SSHSIG``, the namespace, nothing, the hash's name and the message's hash. Only what
``ssh-keygen`` itself writes is read, byte for byte, so that one signature has one text. Refused is whatever is not named
here: other namespaces and hashes, SHA-1, RSA below 2048 bits, security keys that nobody touched, certificates.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key

from countersign.errors import UsageError, VerificationError

NAMESPACE = "countersign"
ARMOURED_CHARS_MAX = 16_384
"""RSA with 16,384 bits, the most that OpenSSH makes, comes to 5,800."""
RSA_BITS_MIN = 2_048
RSA_BITS_MAX = 16_384
_MAGIC = b"SSHSIG"
_VERSION = (1).to_bytes(4, "big")
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_COLUMNS = 70
_HASHES = MappingProxyType({"sha256": hashlib.sha256, "sha512": hashlib.sha512})
_SECURITY_KEY = "sk-ssh-ed25519@openssh.com"
_USER_PRESENT = 0x01
_ED25519_BYTES = 64
_CURVES: Mapping[str, tuple[str, HashAlgorithm]] = MappingProxyType(
    {"ecdsa-sha2-nistp256": ("secp256r1", SHA256()), "ecdsa-sha2-nistp384": ("secp384r1", SHA384())}
)
_RSA_HASHES: Mapping[str, HashAlgorithm] = MappingProxyType({"rsa-sha2-256": SHA256(), "rsa-sha2-512": SHA512()})
KEY_TYPES = ("ssh-ed25519", *_CURVES, "ssh-rsa", _SECURITY_KEY)


class PublicKey(msgspec.Struct, frozen=True):
    """A public key of an allowed type. blob: its SSH wire form, which is what a fingerprint is taken of."""

    type: str
    blob: bytes

    @property
    def line(self) -> str:
        """As in an ``authorized_keys`` file, without a comment: those name people and machines."""
        return f"{self.type} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """As ``ssh-keygen -l`` prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")


class Signature(msgspec.Struct, frozen=True):
    """A signature as read; nothing about it is verified. type: the scheme. raw: what that scheme reads."""

    key: PublicKey
    namespace: str
    hash: str
    type: str
    raw: bytes
    tail: bytes


def parse_key(line: str) -> PublicKey:
    """The key in one line of a ``.pub`` file, its comment dropped. Raises UsageError when it cannot be enrolled."""
    words = line.split()
    try:
        if len(words) < 2:
            raise VerificationError("not a public key")
        key = PublicKey(words[0], _base64(words[1]))
        _load(key)
    except VerificationError as error:
        todo = f"give the one line of a .pub file, of type {', '.join(KEY_TYPES)}"
        raise UsageError(error.what, where="public key", todo=todo) from error
    return key


def verify(armoured: str, message: bytes, namespace: str = NAMESPACE) -> PublicKey:
    """The key that signed ``message`` in this namespace. Raises VerificationError; whose key it is, the caller must know."""
    found = read(armoured)
    if found.namespace != namespace:
        raise _bad(f"made for {found.namespace!r}, not {namespace!r}", f"sign with `ssh-keygen -Y sign -n {namespace}`")
    if found.hash not in _HASHES:
        raise _bad(f"hash {found.hash!r} is not allowed", f"use {' or '.join(_HASHES)}")
    digest = _HASHES[found.hash](message).digest()
    signed = _MAGIC + b"".join(map(_string, (namespace.encode(), b"", found.hash.encode(), digest)))
    try:
        _check(found, _load(found.key), signed)
    except InvalidSignature:
        raise _bad("does not match message and key", "sign exactly the message that is shown") from None
    return found.key


def read(armoured: str) -> Signature:
    """What a signature says of itself. Raises VerificationError unless ``armour`` gives back exactly this text."""
    if len(armoured) > ARMOURED_CHARS_MAX:
        raise _bad(f"longer than {ARMOURED_CHARS_MAX} characters")
    lines = armoured.split("\n")
    if lines[0] != _BEGIN or _END not in lines:
        raise _bad(f"not between {_BEGIN!r} and {_END!r}, or cut short", "give the whole file that ssh-keygen wrote")
    blob = _base64("".join(lines[1 : lines.index(_END)]))
    if armour(blob) != armoured:
        raise _bad("not laid out as ssh-keygen writes it", "give the whole file that ssh-keygen wrote")
    return _parse(blob)


def armour(blob: bytes) -> str:
    """The text that ``ssh-keygen`` makes of a signature's bytes."""
    text = base64.b64encode(blob).decode()
    rows = [text[i : i + _COLUMNS] for i in range(0, len(text), _COLUMNS)]
    return "\n".join((_BEGIN, *rows, _END, ""))


def _parse(blob: bytes) -> Signature:
    if blob[: len(_MAGIC)] != _MAGIC or blob[len(_MAGIC) : len(_MAGIC) + 4] != _VERSION:
        raise _bad("not an SSHSIG of version 1")
    (key, namespace, reserved, name, inner), rest = _strings(blob[len(_MAGIC) + 4 :], 5)
    if reserved or rest:
        raise _bad("holds what version 1 does not know")
    (kind, raw), tail = _strings(inner, 2)
    ((of, *_), _) = _strings(key, 1)
    return Signature(PublicKey(_text(of), key), _text(namespace), _text(name), _text(kind), raw, tail)


def _load(key: PublicKey) -> PublicKeyTypes:
    """The key for ``cryptography``. Raises VerificationError unless its type is allowed and its form the only one."""
    if key.type not in KEY_TYPES:
        raise VerificationError(f"key type {key.type!r} is not allowed", where="public key")
    try:
        if key.type == _SECURITY_KEY:
            return _load_security_key(key)
        loaded = load_ssh_public_key(key.line.encode())
    except (ValueError, NotImplementedError, UnsupportedAlgorithm) as error:
        raise VerificationError(f"key cannot be read ({error})", where="public key") from error
    if loaded.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() != key.line:
        raise VerificationError("key is not in its canonical form", where="public key")
    if isinstance(loaded, rsa.RSAPublicKey) and not RSA_BITS_MIN <= loaded.key_size <= RSA_BITS_MAX:
        what = f"RSA key of {loaded.key_size} bits; allowed are {RSA_BITS_MIN} to {RSA_BITS_MAX}"
        raise VerificationError(what, where="public key")
    return loaded


def _load_security_key(key: PublicKey) -> Ed25519PublicKey:
    (kind, point, _application), rest = _strings(key.blob, 3)
    if _text(kind) != key.type or rest:
        raise VerificationError("key is not in its canonical form", where="public key")
    return Ed25519PublicKey.from_public_bytes(point)


def _check(found: Signature, key: PublicKeyTypes, signed: bytes) -> None:
    """Raises InvalidSignature, or VerificationError where the scheme is not that of the key."""
    if found.type not in _schemes(found.key.type):
        raise _bad(f"scheme {found.type!r} is not one of {found.key.type} here")
    if found.tail and found.key.type != _SECURITY_KEY:
        raise _bad("holds more than its scheme has")
    if isinstance(key, Ed25519PublicKey):
        if len(found.raw) != _ED25519_BYTES:
            raise InvalidSignature
        key.verify(found.raw, _touched(found, signed) if found.type == _SECURITY_KEY else signed)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(_dss(found.raw), signed, ec.ECDSA(_CURVES[found.type][1]))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(found.raw, signed, padding.PKCS1v15(), _RSA_HASHES[found.type])
    else:  # unreachable while KEY_TYPES names these three
        raise InvalidSignature


def _schemes(kind: str) -> tuple[str, ...]:
    return tuple(_RSA_HASHES) if kind == "ssh-rsa" else (kind,)


def _touched(found: Signature, signed: bytes) -> bytes:
    """What a security key signed (PROTOCOL.u2f): hash of its application, flags, counter, hash of the message."""
    if len(found.tail) != 5 or not found.tail[0] & _USER_PRESENT:
        raise _bad("security key says that nobody touched it", "sign again and touch the key")
    application = _strings(found.key.blob, 3)[0][2]
    return hashlib.sha256(application).digest() + found.tail + hashlib.sha256(signed).digest()


def _dss(raw: bytes) -> bytes:
    """ECDSA's two numbers in the form that ``cryptography`` takes."""
    (r, s), rest = _strings(raw, 2)
    if rest or not _is_positive(r) or not _is_positive(s):
        raise InvalidSignature
    return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))


def _is_positive(number: bytes) -> bool:
    """Whether an mpint is above zero and in its shortest form (RFC 4251 section 5)."""
    head = number[:2].ljust(2, b"\0")
    return bool(number) and head[0] < 0x80 and (head[0] > 0 or head[1] >= 0x80)


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _strings(data: bytes, count: int) -> tuple[list[bytes], bytes]:
    """The first ``count`` strings (RFC 4251 section 5), and what follows."""
    found = []
    for _ in range(count):
        size = int.from_bytes(data[:4], "big")
        if len(data) < 4 or size > len(data) - 4:
            raise _bad("is cut short or damaged", "give the whole file that ssh-keygen wrote")
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found, data


def _text(data: bytes) -> str:
    """Names are ASCII; anything else is shown and matches nothing."""
    return data.decode("ascii", errors="backslashreplace")


def _base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data or base64.b64encode(data).decode() != text:
        raise _bad("base64 is damaged or cut short", "give the whole file that ssh-keygen wrote")
    return data


def _bad(what: str, todo: str = "") -> VerificationError:
    return VerificationError(f"signature refused: {what}", todo=todo)

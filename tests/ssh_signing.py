"""Keys and signatures in OpenSSH's forms, made without OpenSSH: what the tests sign with, also wrongly."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from countersign.approvals.sshsig import NAMESPACE, armour

SECURITY_KEY = "sk-ssh-ed25519@openssh.com"
APPLICATION = b"ssh:"
CURVES = {
    "ecdsa-sha2-nistp256": ec.SECP256R1(),
    "ecdsa-sha2-nistp384": ec.SECP384R1(),
    "ecdsa-sha2-nistp521": ec.SECP521R1(),
}
DIGESTS = {"ecdsa-sha2-nistp256": hashes.SHA256(), "ecdsa-sha2-nistp384": hashes.SHA384()}
RSA_DIGESTS = {"ssh-rsa": hashes.SHA1(), "rsa-sha2-256": hashes.SHA256(), "rsa-sha2-512": hashes.SHA512()}


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def mpint(number: int) -> bytes:
    return string(number.to_bytes(number.bit_length() // 8 + 1, "big"))


@dataclass(frozen=True)
class Key:
    """A private key of a type; ``scheme`` is how it signs."""

    type: str
    private: Any
    scheme: str

    @property
    def blob(self) -> bytes:
        """The public key's wire form."""
        if self.type == SECURITY_KEY:
            point = self.private.public_key().public_bytes_raw()
            return string(self.type.encode()) + string(point) + string(APPLICATION)
        return base64.b64decode(self.public.split()[1])

    @property
    def public(self) -> str:
        """The line of a ``.pub`` file, with a comment."""
        if self.type == SECURITY_KEY:
            return f"{self.type} {base64.b64encode(self.blob).decode()} ada@laptop"
        line = self.private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        return f"{line} ada@laptop"

    def private_file(self) -> bytes:
        """As ``ssh-keygen`` reads it."""
        return bytes(self.private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))


@lru_cache
def make(kind: str = "ssh-ed25519", name: str = "", *, scheme: str = "", bits: int = 2048) -> Key:
    """One key for each name."""
    if kind in {"ssh-ed25519", SECURITY_KEY}:
        return Key(kind, Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"{kind} {name}".encode()).digest()), kind)
    if kind == "ssh-rsa":
        return Key(kind, rsa.generate_private_key(65_537, bits), scheme or "rsa-sha2-512")
    return Key(kind, ec.generate_private_key(CURVES[kind]), kind)


@dataclass(frozen=True)
class How:
    """How a signature is made; every default is as it should be."""

    namespace: str = NAMESPACE
    hash: str = "sha512"
    reserved: bytes = b""
    flags: int = 1
    magic: bytes = b"SSHSIG"
    version: int = 1
    extra: bytes = field(default=b"")


def sign(key: Key, message: bytes, how: How | None = None) -> str:
    """The armoured signature."""
    return armour(sign_blob(key, message, how or How()))


def sign_blob(key: Key, message: bytes, how: How) -> bytes:
    digest = hashlib.new(how.hash, message).digest()
    about = string(how.namespace.encode()) + string(how.reserved) + string(how.hash.encode())
    raw = _raw(key, b"SSHSIG" + about + string(digest), how)
    return how.magic + how.version.to_bytes(4, "big") + string(key.blob) + about + string(raw) + how.extra


def _raw(key: Key, signed: bytes, how: How) -> bytes:
    head = string(key.scheme.encode())
    if key.type == SECURITY_KEY:
        tail = bytes([how.flags]) + (7).to_bytes(4, "big")
        inner = hashlib.sha256(APPLICATION).digest() + tail + hashlib.sha256(signed).digest()
        return head + string(key.private.sign(inner)) + tail
    if key.type == "ssh-ed25519":
        return head + string(key.private.sign(signed))
    if key.type == "ssh-rsa":
        return head + string(key.private.sign(signed, padding.PKCS1v15(), RSA_DIGESTS[key.scheme]))
    digest = DIGESTS.get(key.scheme, hashes.SHA512())
    r, s = decode_dss_signature(key.private.sign(signed, ec.ECDSA(digest)))
    return head + string(mpint(r) + mpint(s))

"""An authenticator without a browser: passkeys and their assertions, made rightly and wrongly."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from countersign.approvals.webauthn import b64, unb64
from countersign.bootstrap import Site
from countersign.model.entries import Actor
from countersign.model.matters import Ceremony, Pressed
from countersign.store import accounts, act, passkeys
from countersign.store.engine import writing

RP_ID, ORIGIN = "localhost", "http://localhost:8440"
PRESENT, VERIFIED = 1, 4


@dataclass
class Authenticator:
    """One passkey on the P-256 curve."""

    name: str
    rp_id: str = RP_ID
    count: int = 0
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def credential(self) -> bytes:
        return hashlib.sha256(b"credential " + self.name.encode()).digest()

    @property
    def cose(self) -> bytes:
        numbers = self.private.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})

    @property
    def pkcs8(self) -> bytes:
        return self.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def press(self, ceremony: Ceremony, **wrong: Any) -> Pressed:
        """The answer to a ceremony; ``wrong`` replaces what is signed: challenge, origin, rp_id, flags, type, count."""
        self.count = wrong.get("count", self.count + 1)
        said = {
            "type": wrong.get("type", "webauthn.get"),
            "challenge": wrong.get("challenge", ceremony.challenge),
            "origin": wrong.get("origin", ORIGIN),
            "crossOrigin": wrong.get("cross", False),
        }
        client = json.dumps(said).encode()
        head = hashlib.sha256(wrong.get("rp_id", self.rp_id).encode()).digest()
        data = head + bytes([wrong.get("flags", PRESENT | VERIFIED)]) + self.count.to_bytes(4, "big")
        signature = self.private.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        credential = wrong.get("credential", self.credential)
        return Pressed(b64(credential), b64(data), b64(client), b64(signature), wrong.get("nonce", ceremony.nonce))


def enrol(site: Site, name: str, *, roles: tuple[str, ...] = ("approver",), rp_id: str = RP_ID) -> Authenticator:
    """A person with a passkey and roles, as signing up leaves them."""
    made = Authenticator(name, rp_id)
    now_ms = site.clock.now_ms()
    with writing(site.engine) as conn:
        who = act.person(conn, name)
        if roles:
            accounts.grant(conn, who.id, roles, Actor("system", "test"), now_ms)
        held = passkeys.Made(made.credential, made.cose, 0, rp_id)
        passkeys.enrol(conn, who.id, held, "key", who, now_ms, "link")
    return made


__all__ = ["ORIGIN", "RP_ID", "Authenticator", "enrol", "unb64"]

"""An authenticator without a browser: passkeys and their assertions, made rightly and wrongly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from countersign.approvals.webauthn import b64, unb64
from countersign.approving import Approving
from countersign.authority import passkey
from countersign.authority.passkey import Party
from countersign.authority.roles import APPROVER, POWERS, Role
from countersign.bootstrap import Site
from countersign.impact import Impact
from countersign.model.matters import Ceremony, Pressed
from countersign.store import accounts, enrolments, joining
from countersign.store.engine import reading, writing
from countersign.store.read_ledger import pseudonym_of as pseudonym

RP_ID, ORIGIN = "localhost", "http://localhost:8440"
PRESENT, VERIFIED, ATTESTED = 1, 4, 64


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

    def register(self, challenge: str, origin: str) -> str:
        """The browser's answer to a registration, as JSON: attestation of no kind (WebAuthn, section 8.7)."""
        head = hashlib.sha256(self.rp_id.encode()).digest() + bytes([PRESENT | VERIFIED | ATTESTED]) + bytes(4)
        data = head + bytes(16) + len(self.credential).to_bytes(2, "big") + self.credential + self.cose
        said = {"type": "webauthn.create", "challenge": challenge, "origin": origin, "crossOrigin": False}
        response = {
            "clientDataJSON": b64(json.dumps(said).encode()),
            "attestationObject": b64(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})),
        }
        ident = b64(self.credential)
        return json.dumps({"id": ident, "rawId": ident, "type": "public-key", "response": response})

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


SIGNERS: WeakKeyDictionary[Site, Callable[[Site, int], object]] = WeakKeyDictionary()
"""How whoever came first at each site signs for a change (its number), such as those by which others come after."""


def enrol(site: Site, name: str, *, roles: Sequence[str] = (APPROVER,), rp_id: str = RP_ID) -> Authenticator:
    """A person with a passkey and roles, who came in as people do: the first approver by the link that the first start
    prints, everybody else by an invitation; what opens more is given by the first one's signature."""
    made, impact = Authenticator(name, rp_id), Impact(site)
    with reading(site.engine) as conn:
        nobody = accounts.nobody_yet(conn)
    assert nobody or site in SIGNERS, "enrol the first approver on this very Site"
    first = nobody and APPROVER in roles
    token, _ = impact.invite(name, APPROVER if first else next((one for one in roles if one not in POWERS), Role.VIEWER))
    _register(site, made, token)
    if first:
        SIGNERS[site] = partial(_sign, name, made)
    with reading(site.engine) as conn:
        held = accounts.roles(conn, pseudonym(conn, name))
    for role in sorted(set(roles) - set(held)):
        number = impact.grant(name, role)
        if number is not None:
            sign_for(site, number)
    return made


def sign_for(site: Site, number: int) -> None:
    """An approver signs for a change; one is enrolled where there is none yet."""
    if site not in SIGNERS:
        enrol(site, "ada")
    SIGNERS[site](site, number)


def _sign(who: str, key: Authenticator, site: Site, number: int) -> None:
    approving = Approving(site)
    pressed = key.press(approving.ceremony(number, who))
    assert approving.approve_by_passkey(number, who, pressed, "known") == "approved and made"


def _register(site: Site, made: Authenticator, token: str) -> None:
    party = Party(made.rp_id, ORIGIN if made.rp_id == RP_ID else f"https://{made.rp_id}")
    with writing(site.engine) as conn:
        now_ms = site.clock.now_ms()
        link = enrolments.find(conn, token, now_ms)
        asked = json.loads(joining.begin_registration(conn, party, link.person, now_ms))
        answer = passkey.read(made.register(asked["challenge"], party.origin))
        joining.enrol_by_link(conn, party, token, answer, "key", now_ms, "test")


__all__ = ["ORIGIN", "RP_ID", "Authenticator", "enrol", "unb64"]

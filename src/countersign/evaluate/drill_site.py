"""A small site for drills, made the ordinary way: alerts come in, people dispose of cases, sign a change and a response."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import select

from countersign.actions.suggest import Suggestion
from countersign.approvals import sshsig
from countersign.approvals.change import message
from countersign.approving import Approving
from countersign.bootstrap import Site, open_site
from countersign.demo import alerts, estate
from countersign.errors import NotFoundError
from countersign.feed import Feeder
from countersign.impact import Impact
from countersign.sources.reader import split_body
from countersign.store import tables as t
from countersign.store.engine import reading
from countersign.store.signers import Answer

LINES = 900
END_MS = 1_750_000_000_000
"""When the alerts end: fixed, so that they are the same ones in every run."""
DISPOSED = 25
FIRST, SECOND = "First Approver", "Second Approver"


class _Key:
    """An OpenSSH key of the moment, which signs as ``ssh-keygen -Y sign`` does (openssh-portable, PROTOCOL.sshsig)."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        line = self._key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        self.public = sshsig.parse_key(line)

    def sign(self, signed: str | bytes) -> str:
        """Armoured signature."""
        data = signed.encode() if isinstance(signed, str) else signed
        about = _string(sshsig.NAMESPACE.encode()) + _string(b"") + _string(b"sha512")
        raw = self._key.sign(b"SSHSIG" + about + _string(hashlib.sha512(data).digest()))
        signature = _string(b"ssh-ed25519") + _string(raw)
        return sshsig.armour(b"SSHSIG" + (1).to_bytes(4, "big") + _string(self.public.blob) + about + _string(signature))


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def build(folder: Path) -> Site:
    """A site of some hundred entries in an empty folder."""
    folder.mkdir()
    site = open_site(folder)
    site.commands.import_inventory(estate.inventory(), "estate.csv", "replace")
    _take_alerts(site)
    _dispose(site)
    keys = {FIRST: _Key(), SECOND: _Key()}
    _enrol(site, keys)
    _respond(site, keys)
    return site


def _take_alerts(site: Site) -> None:
    feeder, left = Feeder(site), LINES
    for feed in alerts.deliveries(end_ms=END_MS):
        feeder.feed(iter(split_body(feed.body, feed.source, mapping=feed.mapping, origin=feed.name)))
        left -= feed.body.count(b"\n")
        if left <= 0:
            break
    feeder.finish()


def _cases(site: Site) -> list[str]:
    with reading(site.engine) as conn:
        return sorted(conn.execute(select(t.cases.c.id).where(t.cases.c.status == "open")).scalars())


def _dispose(site: Site) -> None:
    for number, case in enumerate(_cases(site)[:DISPOSED]):
        site.commands.dispose(case, "benign" if number % 5 else "true_positive", "looked at", "analyst")


def _enrol(site: Site, keys: dict[str, _Key]) -> None:
    impact = Impact(site)
    impact.enrol(FIRST, keys[FIRST].public)
    number = impact.enrol(SECOND, keys[SECOND].public)
    if number is not None:
        signed = message(impact.waiting(number).digest)
        impact.approve(number, Answer(FIRST, keys[FIRST].sign(signed), "known"))


def _respond(site: Site, keys: dict[str, _Key]) -> None:
    """The first response that some case suggests, proposed by one and signed by the other."""
    approving = Approving(site)
    for case in _cases(site):
        try:
            number = approving.propose(case, _first, FIRST)
        except NotFoundError:
            continue
        approving.approve(number, Answer(SECOND, keys[SECOND].sign(approving.sheet(number).message), "seen"))
        return


def _first(found: tuple[Suggestion, ...]) -> Suggestion:
    if not found:
        raise NotFoundError("no response is suggested", where="case")
    return found[0]

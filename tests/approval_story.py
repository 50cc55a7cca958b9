"""A log in which people approve and an action is carried out, made entry by entry, so that each can be forged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from countersign.approvals import webauthn
from countersign.approvals.change import Change, message
from countersign.approvals.proposal import Proposal, canonical, digest
from countersign.approvals.record.judge import Approvals
from countersign.approvals.sshsig import parse_key
from countersign.ledger.canonical import encode
from countersign.ledger.verify import Report, verify
from countersign.model.entries import Actor, Entry, Kind
from countersign.model.inventory import Criticality
from countersign.model.matters import Ceremony
from countersign.model.responses import Target, TargetKind
from tests.ledger_log import KEY, MemoryLog
from tests.passkey_signing import RP_ID, Authenticator
from tests.ssh_signing import Key, make, sign

ADA, BEA, CYN, EVE = (f"person~{name}" for name in ("ada", "bea", "cyn", "eve"))
SYSTEM, RESPONDER = Actor("system", "actions"), Actor("agent", "responder")
START_MS = 1_790_000_000_000
HOUR_MS = 3_600_000
TARGET = Target(TargetKind.ASSET, "dc-01", Criticality.CRITICAL, "k.curlew", ("192.0.2.10",))


def person(ident: str) -> Actor:
    return Actor("human", ident)


@dataclass
class Story:
    """Entries in order; an index is an entry's place. Numbers of what ``told`` tells stand in ``at``."""

    entries: list[Entry] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    at: dict[str, int] = field(default_factory=dict)
    now_ms: int = START_MS
    nonce: int = 0
    site: str | msgspec.UnsetType = KEY.name
    ada: Key = field(default_factory=lambda: make("ssh-ed25519", "story ada"))
    bea: Authenticator = field(default_factory=lambda: Authenticator("bea"))

    def add(self, kind: Kind, by: Actor, subject: str, trigger: str, body: dict[str, Any], name: str = "") -> int:
        self.now_ms += 1_000
        self.entries.append(Entry(kind, self.now_ms, by, subject, trigger, body))
        index = len(self.entries) - 1
        self.at[name or kind.value] = index
        return index

    def change(self, name: str, index: int | None = None, **fields: Any) -> None:
        """Replace fields of an entry; those of its body by their own names."""
        place = self.at[name] if index is None else index
        entry = self.entries[place]
        own = {key: value for key, value in fields.items() if key in Entry.__struct_fields__}
        body = {**entry.body, **{key: value for key, value in fields.items() if key not in own}}
        self.entries[place] = msgspec.structs.replace(entry, **({"body": body} | own))

    # --- people

    def enrolled(self, who: str, key: Key, change: int = -1) -> int:
        public = parse_key(key.public)
        body = {"key": public.line, "fingerprint": public.fingerprint, "entitlement": "approver", "change": change}
        return self.add(Kind.PERSON_ENROLLED, person(who), who, "command", body, f"enrolled {who}")

    def passkey(self, who: str, key: Authenticator, trigger: str) -> int:
        body = {
            "credential": webauthn.b64(key.credential),
            "key": webauthn.b64(key.cose),
            "rp_id": RP_ID,
            "transports": ["internal"],
            "verified": 1,
            "sign_count": 0,
        }
        return self.add(Kind.PASSKEY_ENROLLED, person(who), who, trigger, body, f"passkey {who}")

    def role(self, who: str, change: int, roles: Sequence[str] = ("approver",)) -> int:
        body = {"roles": list(roles), "source": "local", "change": change}
        return self.add(Kind.ROLE_GRANTED, person(ADA), who, "command", body, f"role {who}")

    # --- what is asked

    def fresh(self) -> dict[str, Any]:
        self.nonce += 1
        return {"expires_ms": self.now_ms + HOUR_MS, "nonce": f"{self.nonce:032x}", "site": self.site}

    def ask_change(self, by: str, **fields: Any) -> int:
        wanted = Change(requester=person(by), **({"was": ""} | fields | self.fresh()))
        body = {"proposal": canonical(wanted).decode(), "digest": digest(wanted)}
        return self.add(Kind.CHANGE_PROPOSED, person(by), str(len(self.entries)), "command", body)

    def ask_action(self, by: str, target: Target = TARGET) -> int:
        wanted = Proposal(
            "isolate_host", {"minutes": 30}, (target,), "C-1001", "Cut it off.", "Let it in.", (), requester=person(by),
            **self.fresh(),
        )  # fmt: skip
        data = canonical(wanted)
        blob = hashlib.sha256(b"salt" + data).hexdigest()
        self.blobs[blob] = data
        body = {
            "digest": digest(wanted),
            "blob": blob,
            "action": wanted.action,
            "case": wanted.case,
            "targets": [f"host:{target.name}"],
            "people": wanted.people,
            "denials": wanted.denials,
            "expires": wanted.expires_ms,
        }
        return self.add(Kind.PROPOSAL_CREATED, person(by), str(len(self.entries)), "console", body)

    # --- what is answered

    def _answer(self, number: int, by: str, record: dict[str, Any], standing: str, name: str) -> int:
        of = self.entries[number]
        body = {"digest": of.body["digest"], **record, "reason": "seen it", "standing": standing}
        kind = Kind.PROPOSAL_APPROVED
        if of.kind is Kind.CHANGE_PROPOSED:
            kind = Kind.CHANGE_APPROVED
            body["nonce"] = msgspec.json.decode(of.body["proposal"])["nonce"]
        return self.add(kind, person(by), str(number), str(number), body, name)

    def sign(self, number: int, by: str, key: Key, standing: str, name: str = "") -> int:
        armoured = sign(key, message(self.entries[number].body["digest"]))
        record = {"fingerprint": parse_key(key.public).fingerprint, "signature": armoured}
        return self._answer(number, by, record, standing, name)

    def press(self, number: int, by: str, key: Authenticator, standing: str, name: str = "", **wrong: Any) -> int:
        nonce = wrong.pop("nonce", f"{self.now_ms:012x}{'0' * 40}")
        digest_ = wrong.pop("digest", self.entries[number].body["digest"])
        ident = webauthn.b64(key.credential)
        asked = Ceremony(number, webauthn.b64(webauthn.challenge(digest_, nonce)), RP_ID, (ident,), nonce)
        pressed = msgspec.structs.asdict(key.press(asked, **wrong))
        return self._answer(number, by, {"fingerprint": f"passkey:{ident}", "webauthn": pressed}, standing, name)

    # --- what is done

    def intended(self, number: int, given: Sequence[int], **other: Any) -> int:
        digest_ = self.entries[number].body["digest"]
        body = {"digest": digest_, "action": "isolate_host", "approvals": list(given), "minutes": 30} | other
        return self.add(Kind.ACTION_INTENDED, RESPONDER, str(number), str(number), body)

    def started(self, number: int, **other: Any) -> int:
        body = {"digest": self.entries[number].body["digest"], "sealed": len(self.entries)} | other
        return self.add(Kind.ACTION_STARTED, RESPONDER, str(number), str(number), body)

    def probed(self, number: int, effect: str = "holds") -> int:
        body = {"effect": effect, "fault": "", "blob": "", "ms": {"do": 1}}
        return self.add(Kind.ACTION_PROBED, RESPONDER, str(number), str(number), body)

    def left(self, number: int, event: str = "failed") -> int:
        body = {"event": event, "fault": "refused", "blob": ""}
        return self.add(Kind.ACTION_LEFT, SYSTEM, str(number), str(number), body)

    # --- judged

    def log(self) -> MemoryLog:
        """Signed with the log's own key, whatever it says."""
        return MemoryLog([encode(entry) for entry in self.entries])

    def report(self, *, beside: bool = True) -> Report:
        judge = Approvals(self.blobs.get if beside else None)
        return verify(self.log(), [KEY.vkey], judges=[judge])

    def said(self, *, beside: bool = True) -> list[str]:
        return [problem.what for problem in self.report(beside=beside).problems]


def people() -> Story:
    """Ada is first, by an SSH key. Bea has a passkey, and is an approver since Ada signed for her."""
    story = Story()
    story.add(Kind.LEDGER_OPENED, SYSTEM, "log", "init", {"origin": KEY.name})
    story.enrolled(ADA, story.ada)
    story.add(Kind.PERSON_INVITED, person(ADA), BEA, "command", {"hash": "00" * 32, "expires": story.now_ms + HOUR_MS})
    story.passkey(BEA, story.bea, "invite")
    pinned = hashlib.sha256(webauthn.b64(story.bea.credential).encode()).hexdigest()
    evidence = {"passkeys": 1, "passkeys_sha256": pinned}
    number = story.ask_change(BEA, change="role.grant", subject=BEA, to="approver", evidence=evidence)
    story.sign(number, ADA, story.ada, "approved", "ada lets bea in")
    story.role(BEA, number)
    return story


def approved() -> Story:
    """Cyn asked for a response on a critical host; Ada and Bea approved it."""
    story = people()
    number = story.ask_action(CYN)
    story.at["number"] = number
    story.sign(number, ADA, story.ada, "waiting", "ada")
    story.press(number, BEA, story.bea, "approved", "bea")
    return story


def told() -> Story:
    """It was carried out as well."""
    story = approved()
    number = story.at["number"]
    story.intended(number, [story.at["ada"], story.at["bea"]])
    story.started(number)
    story.probed(number)
    return story


Forge = Callable[[], Story]


class Forgeries(dict[str, tuple[Forge, str]]):
    """Stories in which something is forged, by name, each with words that have to be said of it."""

    def note(self, words: str) -> Callable[[Forge], Forge]:
        def note(forge: Forge) -> Forge:
            self[forge.__name__] = forge, words
            return forge

        return note

    def is_named(self, name: str) -> None:
        """The problem is said, and every problem names the entry it speaks of."""
        forge, words = self[name]
        story = forge()
        said = story.said()
        assert any(words in what for what in said), said
        assert all(f"entry {number}" in what for number, what in ((p.index, p.what) for p in story.report().problems))

"""Whose keys count at each point of a log, and on whose word: read off its entries alone.

The first person is trusted on first use. Everybody else who may approve was let in by an approved change that names the key,
or pins the passkeys; a passkey that somebody added while signed in rests on the word of the site, and is told apart.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from urllib.parse import urlsplit

import msgspec

from countersign.approvals import signed, sshsig, webauthn
from countersign.approvals.quorum import Review
from countersign.approvals.record.made import Made
from countersign.approvals.signed import APPROVER, Enrolled
from countersign.approvals.webauthn import CEREMONY_MS, Assertion, Credential
from countersign.errors import CountersignError, VerificationError
from countersign.ledger.judging import Key
from countersign.model.entries import Entry, Kind

PASSKEY = "passkey:"
FIRST, SITE, SESSION = "first person", "the site alone", "session"
POWERS = frozenset({"admin", APPROVER, "lead"})
"""Roles that approvers sign for (``authority.roles``)."""
OIDC = "oidc"


class Held(msgspec.Struct):
    """A passkey as the log tells of it. count: newest that was seen. entry: its enrolment. by: on whose word it counts."""

    person: str
    credential: Credential
    entry: int
    by: str
    revoked: bool = False


class Keys:
    """One pass over a log; ``take`` before ``signer`` of what follows."""

    def __init__(self, made: Made) -> None:
        self._made = made
        self._ssh: dict[str, Enrolled] = {}
        self._ssh_from: dict[str, tuple[int, str]] = {}
        self._passkeys: dict[str, Held] = {}
        self._roles: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._closed: set[str] = set()
        self._links: dict[str, tuple[int, str]] = {}  # person: time up to which a link serves, change that was signed for it
        self._somebody = False
        self._signed: dict[str, int] = defaultdict(int)

    # --- who is let in

    def take(self, index: int, entry: Entry) -> str:
        """Take in an entry about people; what is wrong with it, and then it counts for nothing."""
        take = {
            Kind.PERSON_ENROLLED: self._enrolled,
            Kind.PERSON_REVOKED: self._revoked,
            Kind.PERSON_INVITED: self._invited,
            Kind.PASSKEY_ENROLLED: self._passkey,
            Kind.PASSKEY_REVOKED: self._passkey_revoked,
            Kind.ROLE_GRANTED: self._granted,
            Kind.ROLE_REVOKED: self._taken,
        }.get(entry.kind)
        return take(index, entry) if take else ""

    def _enrolled(self, index: int, entry: Entry) -> str:
        body, change = entry.body, entry.body["change"]
        if change == -1 and self._somebody:
            return "enrols a person without an approved change, after the first"
        wanted = {"change": "person.enrol", "subject": entry.subject, "to": body["key"]}
        if change != -1 and (why := self._made.use(change, **wanted)):
            return f"enrols a person {why}"
        try:
            key = sshsig.parse_key(body["key"])
        except CountersignError as error:
            return f"enrols a key that is none: {error.what}"
        if key.fingerprint != body["fingerprint"] or key.fingerprint in self._ssh:
            return "enrols a key under another fingerprint, or one that was enrolled before"
        self._somebody = True
        self._ssh[key.fingerprint] = Enrolled(entry.subject, body["key"], key.fingerprint, body["entitlement"], entry.time)
        self._ssh_from[key.fingerprint] = index, FIRST if change == -1 else f"change {change}"
        return ""

    def _revoked(self, _index: int, entry: Entry) -> str:
        for name, held in self._ssh.items():
            if held.person == entry.subject and not held.revoked_ms:
                self._ssh[name] = msgspec.structs.replace(held, revoked_ms=entry.time)
        return ""

    def _invited(self, _index: int, entry: Entry) -> str:
        change = self._made.invitation(entry.subject, entry.body["hash"])
        self._links[entry.subject] = entry.body["expires"], f"change {change}" if change >= 0 else ""
        return ""

    def _passkey(self, index: int, entry: Entry) -> str:
        body, who = entry.body, entry.subject
        if body["credential"] in self._passkeys:
            return "enrols a passkey that was enrolled before"
        until, signed_for = self._links.pop(who, (0, "")) if entry.trigger != SESSION else (0, "")
        if signed_for and entry.time < until:
            by = signed_for
        elif entry.trigger == "first" and not self._passkeys:
            by = FIRST
        else:
            by = SITE
        held = Credential(body["credential"], body["key"], body["rp_id"], body["sign_count"])
        self._passkeys[body["credential"]] = Held(who, held, index, by)
        return ""

    def _passkey_revoked(self, _index: int, entry: Entry) -> str:
        held = self._passkeys.get(entry.body["credential"])
        if held is None:
            return "revokes a passkey that nobody enrolled"
        held.revoked = True
        return ""

    def _granted(self, _index: int, entry: Entry) -> str:
        body, who = entry.body, entry.subject
        roles = set(body["roles"])
        self._closed.discard(who)
        free = roles - POWERS if self._somebody else roles
        if body["source"] == OIDC:  # the directory's own word; never for approving
            free = roles - {APPROVER}
        why = ""
        for role in sorted(roles - free):
            why = why or self._signed_for(who, role, body["change"])
        if not why:
            free = roles
        if APPROVER in free:
            self._pin(who, body["change"])
        self._somebody |= APPROVER in free
        self._roles[who, body["source"]] |= free
        return f"gives {', '.join(sorted(roles - free))} {why}" if why else ""

    def _signed_for(self, who: str, role: str, change: int) -> str:
        return self._made.use(change, change="role.grant", subject=who, to=role)

    def _pin(self, who: str, change: int) -> None:
        """What approvers signed for is a person with the passkeys of that moment."""
        mine = [held for held in self._passkeys.values() if held.person == who and not held.revoked]
        names = " ".join(sorted(held.credential.credential for held in mine))
        pinned = change >= 0 and self._made.pinned(change) == hashlib.sha256(names.encode()).hexdigest()
        for held in mine if pinned else ():
            held.by = f"change {change}"

    def _taken(self, _index: int, entry: Entry) -> str:
        body = entry.body
        if body["whole"]:
            self._closed.add(entry.subject)
            for of in [of for of in self._roles if of[0] == entry.subject]:
                del self._roles[of]
        else:
            self._roles[entry.subject, body["source"]] -= set(body["roles"])
        return ""

    # --- who signed

    def in_force(self) -> set[str]:
        """Fingerprints of what counts at this point."""
        keys = {name for name, held in self._ssh.items() if not held.revoked_ms}
        mine = {PASSKEY + name for name, held in self._passkeys.items() if not held.revoked and self._approves(held.person)}
        return keys | mine

    def signer(self, digest: str, review: Review, entry: Entry) -> str:
        """Fingerprint of the key with which ``review.by`` signed the digest. Raises VerificationError."""
        body = entry.body
        if "signature" in body:
            name = signed.by_key(digest, review, body["signature"], tuple(self._ssh.values())).fingerprint
        else:
            name = PASSKEY + self._by_passkey(digest, review, body["webauthn"])
        if body["fingerprint"] != name:
            raise VerificationError("names another key than the one that signed")
        if review.by.id in self._closed:
            raise VerificationError("by an account that was revoked")
        self._signed[name] += 1
        return name

    def _by_passkey(self, digest: str, review: Review, given: object) -> str:
        said = msgspec.convert(given, Assertion)
        held = self._passkeys.get(said.credential)
        if held is None or held.person != review.by.id:
            raise VerificationError("by a passkey that is not enrolled for this person")
        if held.revoked or not self._approves(held.person):
            raise VerificationError("by a passkey that was revoked, or is not an approver's")
        origin = webauthn.origin_of(said)
        if urlsplit(origin).hostname != held.credential.rp_id:
            raise VerificationError("by a passkey, at another address")
        if not 0 <= review.at_ms - int(said.nonce[:12], 16) <= CEREMONY_MS:
            raise VerificationError("by a passkey, in answer to a question of another time")
        count = webauthn.verify(said, digest, held.credential, origin)
        held.credential = msgspec.structs.replace(held.credential, sign_count=count)
        return said.credential

    def _approves(self, person: str) -> bool:
        held = (roles for (who, _), roles in self._roles.items() if who == person)
        return person not in self._closed and any(APPROVER in roles for roles in held)

    # --- in the end

    def used(self) -> tuple[Key, ...]:
        """The keys that signed, by enrolment."""
        found = []
        for name, number in self._signed.items():
            if name in self._ssh:
                entry, by = self._ssh_from[name]
                found.append(Key(self._ssh[name].person, name, entry, by, number))
            else:
                held = self._passkeys[name.removeprefix(PASSKEY)]
                found.append(Key(held.person, name, held.entry, held.by, number))
        return tuple(sorted(found, key=lambda key: key.entry))

"""What waited for people, and their answers: each signature made again from the bytes, each answer counted as the rules say.

The canonical bytes of a change stand in its entry. Those of an action stand beside the log, since they may name accounts;
where they are not to be had, the entry's own terms are all there is, and the action counts as unchecked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

from countersign.approvals import change as changes
from countersign.approvals import proposal as proposals
from countersign.approvals.change import Change
from countersign.approvals.proposal import Proposal
from countersign.approvals.quorum import Review, Standing, refusal, tally
from countersign.approvals.record.keys import SITE, Keys
from countersign.approvals.record.made import Made
from countersign.approvals.status import Event, Status, next_status
from countersign.errors import ConflictError, CountersignError
from countersign.model.entries import Actor, Entry, Kind
from countersign.model.responses import TargetKind

Matter = Callable[[str], bytes | None]
"""The bytes behind a commitment; None when they are not to be had."""


class Terms(msgspec.Struct, frozen=True):
    """What an entry says of a proposal whose bytes are not to be had."""

    expires_ms: int
    people: int
    denials: int
    is_draft: bool = False


class Answer(msgspec.Struct, frozen=True):
    """One valid answer. fingerprint: of the key, "" of a denial."""

    review: Review
    entry: int
    fingerprint: str = ""


class Asked(msgspec.Struct):
    """A matter as the log tells of it. answers: the newest of each person."""

    number: int
    matter: Change | Proposal | Terms
    digest: str
    requester: Actor
    action: str
    state: Status = Status.PROPOSED
    answers: dict[str, Answer] = {}
    intent: int = -1
    undoes: int = -1


class Matters:
    """One pass over a log."""

    def __init__(self, keys: Keys, made: Made, matter: Matter | None) -> None:
        self._keys = keys
        self._made = made
        self._matter = matter
        self._nonces: set[str] = set()
        self._sited = False
        self.origin = ""
        self.asked: dict[int, Asked] = {}
        self.checked = dict.fromkeys(("approvals", "changes", "proposals", "denials"), 0)
        self.unread = 0

    # --- what is asked

    def proposed(self, index: int, entry: Entry) -> str:
        """``change.proposed``."""
        data = entry.body["proposal"].encode()
        self.checked["changes"] += 1
        if hashlib.sha256(data).hexdigest() != entry.body["digest"]:
            return "proposes a change whose digest is another"
        return self._ask(index, entry, changes.read(data))

    def created(self, index: int, entry: Entry) -> str:
        """``proposal.created``."""
        body = entry.body
        self.checked["proposals"] += 1
        data = self._matter(body["blob"]) if self._matter is not None else None
        if data is None:
            self.unread += 1
            return self._ask(index, entry, Terms(body["expires"], body["people"], body["denials"]))
        if hashlib.sha256(data).hexdigest() != body["digest"]:
            return "proposes an action whose digest is not that of the bytes beside the log"
        found = proposals.typed(proposals.read(data))
        if differing := _differing(found, entry):
            return f"says of the proposed action another {differing} than its bytes"
        return self._ask(index, entry, found)

    def _ask(self, index: int, entry: Entry, matter: Change | Proposal | Terms) -> str:
        requester = entry.actor
        if entry.subject != str(index):
            return "is numbered otherwise than its place"
        if not isinstance(matter, Terms):
            if matter.requester != requester:
                return "is asked for by another than its bytes say"
            if matter.is_draft or matter.nonce in self._nonces:
                return "proposes a draft, or uses a nonce again"
            self._nonces.add(matter.nonce)
            if why := self._elsewhere(matter):
                return why
        if entry.time >= matter.expires_ms:
            return "proposes what has expired"
        action = entry.body.get("action", "change")
        undoes = entry.body.get("undoes", -1)
        self.asked[index] = Asked(index, matter, entry.body["digest"], requester, action, undoes=undoes)
        self._undone(undoes)
        return ""

    def _elsewhere(self, matter: Change | Proposal) -> str:
        """Earlier versions named no site; once a log names one, everything in it does."""
        if matter.site is msgspec.UNSET and not self._sited:
            return ""
        self._sited = True
        why = proposals.elsewhere(matter.site, self.origin)
        return f"counts for nothing here: {why}" if why else ""

    def _undone(self, number: int) -> None:
        of = self.asked.get(number)
        if of is not None and of.state in (Status.PROBED_OK, Status.PROBED_BAD):
            of.state = next_status(of.state, Event.UNDO)

    # --- what is answered

    def approved(self, index: int, entry: Entry) -> str:
        """``change.approved`` and ``proposal.approved``."""
        self.checked["approvals"] += 1
        of, why = self._waiting(entry)
        if of is None:
            return why
        matter, body = of.matter, entry.body
        if isinstance(matter, Change) and body["nonce"] != matter.nonce:
            return "approves under another nonce"
        review = Review(entry.actor, True, body["reason"], entry.time)
        if why := refusal(matter, of.requester, review, review.at_ms):
            return f"counts for nothing: {why}"
        try:
            fingerprint = self._keys.signer(of.digest, review, entry)
        except (CountersignError, ValueError, KeyError, msgspec.MsgspecError) as error:
            return f"is not signed: {error.what if isinstance(error, CountersignError) else error}"
        return self._count(of, Answer(review, index, fingerprint), body["standing"])

    def _count(self, of: Asked, given: Answer, said: str) -> str:
        """One more valid approval. What it leads to is what the answers say, not what the entry says."""
        found = tally(of.matter, of.requester, [*self._earlier(of), given.review], given.review.at_ms)
        if any(who == given.review.by.id for who, _ in found.refused):
            return "approves a second time: one person counts once"
        of.answers[given.review.by.id] = given
        if found.standing is Standing.APPROVED:
            of.state = next_status(of.state, Event.APPROVED)
            if isinstance(of.matter, Change):
                self._made.approved(of.number, of.matter, given.entry)
        if said == found.standing.value:
            return ""
        valid = f"with {len(found.approvals)} of {found.needed} valid approvals it is {found.standing.value}"
        return f"says that it is {said}, {valid}"

    def _earlier(self, of: Asked) -> list[Review]:
        """Answers of before, but for approvals whose key was revoked since."""
        in_force = self._keys.in_force()
        return [one.review for one in of.answers.values() if not one.review.approve or one.fingerprint in in_force]

    def denied(self, index: int, entry: Entry) -> str:
        """``change.denied`` and ``proposal.denied``."""
        self.checked["denials"] += 1
        of, why = self._waiting(entry)
        if of is None:
            return why
        review = Review(entry.actor, False, entry.body["reason"], entry.time)
        standing = self._denial(of, review)
        of.answers[review.by.id] = Answer(review, index)
        if entry.body["standing"] != standing.value:
            return f"says that it is {entry.body['standing']}, by the answers it is {standing.value}"
        if standing is Standing.DENIED:
            of.state = next_status(of.state, Event.DENIED)
        return ""

    def _denial(self, of: Asked, review: Review) -> Standing:
        if isinstance(of.matter, Change) or review.by.id == of.requester.id:
            return Standing.DENIED
        denials = [one.review for one in of.answers.values() if not one.review.approve and one.review.by.id != review.by.id]
        return tally(of.matter, of.requester, [*denials, review], review.at_ms).standing

    def ended(self, _index: int, entry: Entry) -> str:
        """``proposal.expired`` and ``proposal.outdated``."""
        of, why = self._waiting(entry)
        if of is None:
            return why
        expired = entry.kind is Kind.PROPOSAL_EXPIRED
        if expired and entry.time < of.matter.expires_ms:
            return "ends what had not expired"
        of.state = next_status(of.state, Event.EXPIRED if expired else Event.CHANGED)
        return ""

    def _waiting(self, entry: Entry) -> tuple[Asked | None, str]:
        of = self.asked.get(int(entry.subject))
        if of is None or entry.trigger != entry.subject:
            return None, "answers what was not proposed"
        if isinstance(of.matter, Change) != (entry.kind in (Kind.CHANGE_APPROVED, Kind.CHANGE_DENIED)):
            return None, "answers something of another kind"
        if entry.body["digest"] != of.digest:
            return None, "answers another digest than that of what was proposed"
        if of.state is not Status.PROPOSED:
            return None, f"answers what is {of.state.value} already"
        return of, ""

    def holds(self, of: Asked, given: list[int], now_ms: int) -> str:
        """Why these approvals (entries) do not carry the action at this time, "" when they do."""
        in_force = self._keys.in_force()
        valid = {one.entry for one in of.answers.values() if one.review.approve and one.fingerprint in in_force}
        if len(set(given)) != len(given) or not set(given) <= valid:
            return "rests on approvals that do not count"
        if len(given) < of.matter.people:
            return f"rests on {len(given)} valid approvals, {of.matter.people} are needed"
        return "rests on approvals that have expired" if now_ms >= of.matter.expires_ms else ""

    def by_the_site_alone(self) -> int:
        """Approvals by keys that nobody but the site vouches for."""
        return sum(key.signed for key in self._keys.used() if key.by == SITE)


def step(of: Asked, event: Event) -> str:
    """Take an action one step further; why it may not be, "" when it may."""
    try:
        of.state = next_status(of.state, event)
    except ConflictError as error:
        return error.what
    return ""


def _differing(found: Proposal, entry: Entry) -> str:
    """What an entry says otherwise than the bytes, "" for nothing. Accounts stand in it by pseudonym."""
    said = {
        "action": found.action,
        "case": found.case,
        "people": found.people,
        "denials": found.denials,
        "expires": found.expires_ms,
        "undoes": found.parameters.get("undoes", -1),
    }
    body = {"undoes": -1} | entry.body
    hosts = [f"host:{target.name}" for target in found.targets if target.kind is TargetKind.ASSET]
    if [name for name in body["targets"] if name.startswith("host:")] != hosts or len(body["targets"]) != len(found.targets):
        return "target"
    return next((name for name, value in said.items() if body[name] != value), "")

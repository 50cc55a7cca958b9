"""The one way to what waits for people, for those doors at which people stand: propose, read, approve, deny.

It stands beside ``impact`` and, like it, beside ``bootstrap`` and not in it: no code of the agent reaches it (import
contracts check that). It is handed to the console by the command that serves it. Nothing here approves without a
signature by an enrolled person over the very bytes that are approved; proposing and denying open no way."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import Connection

from countersign.actions import ACTIONS, switched_on, undo
from countersign.actions.suggest import Asks, Suggestion, suggest
from countersign.approvals import webauthn
from countersign.approvals.status import Status
from countersign.authority import grant
from countersign.authority.agents import Operation
from countersign.authority.grant import Grant
from countersign.bootstrap import Site
from countersign.config import Approvals
from countersign.errors import ConfigError, ConflictError, NotFoundError, UsageError
from countersign.impact import effects
from countersign.model.cases import CaseStatus
from countersign.model.entries import Actor
from countersign.model.matters import Ceremony, Line, Pressed, Sheet
from countersign.model.responses import aim
from countersign.store import (
    act,
    activating_policy,
    changes,
    inventory,
    outbox,
    passkeys,
    performing,
    proposals,
    read_approvals,
    read_case,
    settling,
    undoing,
)
from countersign.store.engine import reading, writing
from countersign.store.proposals import Terms
from countersign.store.sealing import said
from countersign.store.signers import Answer, Passkeyed
from countersign.witnessing import why_waits

DIGEST_CHARS_MIN = 8
"""Fewest digits of a draft's digest that name it."""
Choose = Callable[[tuple[Suggestion, ...]], Suggestion]


class Approving:
    """Every method that writes is one transaction with its entries, under a checkpoint before it returns. approved: told
    after an approval."""

    def __init__(self, site: Site, origin: str = "") -> None:
        self._site = site
        self._effects = effects(site)
        self.approved: Callable[[], None] = lambda: None
        self.origin = origin or site.config.server.url or f"http://localhost:{site.config.server.port}"

    @property
    def runs(self) -> tuple[str, ...]:
        """Actions that this site carries out once they are approved."""
        return switched_on(self._site.config.actions)

    @property
    def asks(self) -> Asks:
        """What this site asks of proposals."""
        return asked(self._site.config.approvals)

    # --- read -----------------------------------------------------------------------------------------------------

    def waiting(self) -> tuple[Line, ...]:
        """What people can still answer, what ends first at the top."""
        with reading(self._site.engine) as conn:
            return read_approvals.waiting(conn, self._site.clock.now_ms())

    def ended(self) -> tuple[Line, ...]:
        """What was decided or ended last."""
        with reading(self._site.engine) as conn:
            return read_approvals.ended(conn, self._site.clock.now_ms())

    def of_case(self, case_id: str) -> tuple[Line, ...]:
        """Actions proposed for a case, the newest first."""
        with reading(self._site.engine) as conn:
            found = read_approvals.of_case(conn, case_id, self._site.clock.now_ms())
        return tuple(msgspec.structs.replace(line, waits=self._waits(line)) for line in found)

    def sheet(self, number: int) -> Sheet:
        """One matter whole, rendered from the bytes that are signed. Raises NotFoundError, VerificationError."""
        with reading(self._site.engine) as conn:
            found = read_approvals.sheet(conn, number, self._site.clock.now_ms(), self._effects)
        if found.line.state == Status.APPROVED.value and found.line.what in self.runs:
            return msgspec.structs.replace(found, note=self._note())
        if found.line.state == Status.SEALED.value and (late := self._late()):
            note = f"Its intent is written down. It waits: {late}. It is carried out once that is mended."
            return msgspec.structs.replace(found, note=note)
        if waits := self._waits(found.line):
            note = f"Its intent is written down. It waits for witnesses: {waits}"
            return msgspec.structs.replace(found, note=note, line=msgspec.structs.replace(found.line, waits=waits))
        return found

    def _waits(self, line: Line) -> str:
        """Why an action whose intent is written down does not go on: the quorum of witnesses; "" when that is not why."""
        if line.state != Status.SEALED.value or not self._site.config.ledger.quorum:
            return ""
        with reading(self._site.engine) as conn:
            intent = performing.intent(conn, line.number)
        return why_waits(self._site, intent)

    def _note(self) -> str:
        late = self._late()
        return (
            f"Approved. It waits: {late}. It is carried out once that is mended."
            if late
            else "Approved. It is carried out now."
        )

    def _late(self) -> str:
        """Why nothing starts: the ledger is not sealed in time; "" when it is."""
        with reading(self._site.engine) as conn:
            state = self._site.sealing.look(conn)
        return "" if state.in_time else said(state, self._site.clock.now_ms())

    def ceremony(self, number: int, person: str) -> Ceremony:
        """What this person's browser must have signed to approve it. Raises ConflictError when they have no passkey here,
        and whatever would refuse their approval whoever signed."""
        now_ms = self._site.clock.now_ms()
        with writing(self._site.engine) as conn:  # a name may be given its pseudonym
            sheet = read_approvals.sheet(conn, number, now_ms, self._effects)
            who = act.person(conn, person)
            mine = [one for one in passkeys.active(conn, who.id) if one.rp_id == self._rp_id]
        if sheet.line.state != "waiting":
            raise ConflictError(f"it is {sheet.line.state} already", where=str(number), todo="have it proposed anew")
        if who.id == sheet.line.asked_by_person:
            raise ConflictError("the requester never approves", where=str(number), todo="have somebody else look at it")
        if not mine:
            raise ConflictError("you have no passkey here", where=self._rp_id, todo="add one, or approve from the shell")
        nonce = webauthn.nonce(self._site.session_key, who.id, sheet.line.digest, now_ms)
        challenge = webauthn.b64(webauthn.challenge(sheet.line.digest, nonce))
        return Ceremony(number, challenge, self._rp_id, tuple(one.credential for one in mine), nonce)

    @property
    def _rp_id(self) -> str:
        return urlsplit(self.origin).hostname or ""

    def troubles(self) -> tuple[str, ...]:
        """Messages about what waits that could not be delivered, in words."""
        with reading(self._site.engine) as conn:
            found = outbox.troubled(conn)
        return tuple(f"{one.channel}: {one.error} (number {one.number}, tried {one.tries} times)" for one in found)

    # --- write ----------------------------------------------------------------------------------------------------

    def approve_by_passkey(self, number: int, person: str, pressed: Pressed, reason: str) -> str:
        """Take an approval that a passkey signed, in answer to ``ceremony``. Raises as ``approve`` does."""
        with writing(self._site.engine) as conn:
            now_ms = self._site.clock.now_ms()
            digest = read_approvals.sheet(conn, number, now_ms, self._effects).line.digest
            webauthn.fresh(self._site.session_key, pressed.nonce, act.person(conn, person).id, digest, now_ms)
        assertion = webauthn.Assertion(**msgspec.structs.asdict(pressed))
        return self.approve(number, Answer(person, "", reason, Passkeyed(assertion, self.origin)))

    def propose(self, case_id: str, choose: Choose, person: str, trigger: str = "command") -> int:
        """Put one of the responses suggested for a case before people; returns its number.

        The suggestions are made anew from the case and the inventory as they stand, in the transaction that writes: nothing
        that a caller sends becomes part of the action. Raises NotFoundError, ConflictError, UsageError.
        """
        granted = self._site.case_grant(case_id)
        with writing(self._site.engine) as conn:
            now_ms = self._site.clock.now_ms()
            draft = choose(self._suggested(conn, case_id, granted)).proposal
            requester = act.person(conn, person)
            self._site.follow(conn)
            wanted, policy = terms(self._site.config.approvals, draft.action), self._site.policy
            number = proposals.create(conn, draft, requester, wanted, now_ms, trigger=trigger, policy=policy)
        self._site.seal()
        return number

    def propose_draft(self, case_id: str, digest: str, person: str) -> int:
        """The same for the suggestion whose draft was shown."""
        return self.propose(case_id, by_digest(digest), person, "console")

    def approve(self, number: int, answer: Answer) -> str:
        """Take a signed approval; returns what came of it, in words. Raises VerificationError, ConflictError, UsageError."""
        self._settle()
        self._prove(number)
        with writing(self._site.engine) as conn:
            now_ms = self._site.clock.now_ms()
            self._site.follow(conn)
            if proposals.is_one(conn, number):
                said = self._words(conn, number, proposals.approve(conn, number, answer, now_ms, self._site.policy))
            else:
                made = changes.approve(conn, number, answer, now_ms, self._effects, policy=self._site.policy)
                said = "approved and made" if made else "approved; more people are needed"
        self._site.seal()
        self.approved()
        return said

    def _prove(self, number: int) -> None:
        """A policy is proved again before anybody's yes counts, outside the transaction."""
        with reading(self._site.engine) as conn:
            if proposals.is_one(conn, number):
                return
            change = changes.waiting(conn, number, self._site.clock.now_ms()).change
            if change.change != activating_policy.ACTIVATE:
                return
            texts = activating_policy.proposed(conn, change)
        activating_policy.proved(texts)

    def _words(self, conn: Connection, number: int, state: Status) -> str:
        if state is Status.APPROVED and proposals.held(conn, number).proposal.action in self.runs:
            return "approved; it is carried out now"
        return _WORDS[state]

    def deny(self, number: int, person: str, reason: str) -> str:
        """Say no; returns what came of it, in words. Raises ConflictError, NotFoundError, UsageError."""
        self._settle()
        with writing(self._site.engine) as conn:
            now_ms = self._site.clock.now_ms()
            if proposals.is_one(conn, number):
                said = "denied" if proposals.deny(conn, number, person, reason, now_ms) is Status.DENIED else _MORE_DENIALS
            else:
                changes.deny(conn, number, person, reason, now_ms)
                said = "denied"
        self._site.seal()
        return said

    def _settle(self) -> None:
        """End first what ends by itself, so that it is on record whatever becomes of the answer."""
        with writing(self._site.engine) as conn:
            settling.settle(conn, self._site.clock.now_ms())

    def propose_undo(self, number: int, person: str) -> int:
        """Put the undo of an action that was carried out before people; returns its number. Raises ConflictError,
        NotFoundError."""
        self._settle()
        with writing(self._site.engine) as conn:
            who = act.person(conn, person)
        return propose_undo(self._site, number, who, "asked for")

    def _suggested(self, conn: Connection, case_id: str, granted: Grant) -> tuple[Suggestion, ...]:
        detail = read_case.case_detail(conn, case_id)
        if detail.case.status is CaseStatus.MERGED:
            raise ConflictError("case was merged", where=case_id, todo=f"propose it for {detail.case.merged_into}")
        lease = granted.of(Operation.PROPOSE, grant.case(case_id))
        return suggest(case_id, detail.records, inventory.load(conn), lease, granted.use, self.runs, self.asks)


_MORE_DENIALS = "recorded; more people are needed to end it"
_WORDS = {Status.PROPOSED: "approved; more people are needed", Status.APPROVED: proposals.NOT_RUN}


def by_digest(digest: str) -> Choose:
    """The suggestion whose draft was shown. Raises ConflictError when it reads differently by now."""

    def choose(found: tuple[Suggestion, ...]) -> Suggestion:
        fitting = [one for one in found if len(digest) >= DIGEST_CHARS_MIN and one.digest.startswith(digest)]
        if len(fitting) != 1:
            what = "what is suggested for this case has changed"
            raise ConflictError(what, where=digest[:12], todo="look at the case again, then propose it")
        return fitting[0]

    return choose


def by_name(action: str, target: str) -> Choose:
    """The suggestion of an action, on a target (or address) when several fit."""

    def choose(found: tuple[Suggestion, ...]) -> Suggestion:
        if action not in ACTIONS:
            raise UsageError(f"no action is called {action!r}", where="action", todo=f"use one of {', '.join(ACTIONS)}")
        fitting = [one for one in found if one.proposal.action == action and target in ("", *_aims(one))]
        if not fitting:
            todo = "`countersign case show` lists what is suggested"
            raise NotFoundError("this response is not suggested for the case", where=action, todo=todo)
        if len(fitting) > 1:
            todo = f"name one with --target: {', '.join(' '.join(_aims(one)) for one in fitting)}"
            raise UsageError("several targets fit", where=action, todo=todo)
        return fitting[0]

    return choose


def _aims(one: Suggestion) -> tuple[str, ...]:
    """What a suggestion may be called by: its address or domain, else the names of its targets."""
    outside = aim(one.proposal.parameters)
    return (outside,) if outside else tuple(target.name for target in one.proposal.targets)


def propose_undo(site: Site, number: int, requester: Actor, trigger: str) -> int:
    """Put the undo of an action before people; returns its number. Raises ConflictError, NotFoundError."""
    with writing(site.engine) as conn:
        now_ms = site.clock.now_ms()
        held = undoing.undoable(conn, number)
        draft = undo.draft(held.proposal, number, inventory.load(conn), undoing.told(conn, held))
        site.follow(conn)
        wanted = terms(site.config.approvals, draft.action)
        made = proposals.create(conn, draft, requester, wanted, now_ms, trigger=trigger, policy=site.policy)
        undoing.apply_undo(conn, number, made, now_ms)
    site.seal()
    return made


def asked(config: Approvals) -> Asks:
    """What the site asks of proposals, for whoever looks at what is suggested."""
    return Asks({name: one.approve for name, one in config.actions.items()}, config.expiry_minutes)


def terms(config: Approvals, action: str) -> Terms:
    """What the site asks of an action. Raises ConfigError."""
    if unknown := sorted(config.actions.keys() - ACTIONS.keys()):
        todo = f"use one of {', '.join(ACTIONS)}"
        raise ConfigError(f"no action is called {unknown[0]!r}", where="countersign.toml: approvals.actions", todo=todo)
    wanted = config.actions.get(action)
    expiry_ms = config.expiry_minutes * 60_000
    return Terms(wanted.approve, wanted.deny, expiry_ms) if wanted else Terms(expiry_ms=expiry_ms)

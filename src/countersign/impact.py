"""What only people may set in motion, as one object for the command line: people, changes, and what a change does.

It stands beside ``bootstrap`` and not in it, so that neither the agent's code nor any other door reaches it (an import
contract checks that). A kind of change is registered in ``effects``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from countersign.approvals import sshsig
from countersign.approvals.change import Change
from countersign.autonomy import promotion
from countersign.autonomy.governor import Governed
from countersign.autonomy.scopes import DEFAULT_SCOPES
from countersign.bootstrap import Site, agent_file, secret_file
from countersign.policy.engine import PolicyEngine
from countersign.policy.texts import PolicyTexts
from countersign.store import (
    act,
    activating,
    activating_policy,
    autonomy,
    changes,
    enlisting,
    granting,
    people,
    promoting,
    read_closes,
    switches,
)
from countersign.store.effects import Approved, Effect
from countersign.store.engine import reading, writing
from countersign.store.leases import public_of


def effects(site: Site) -> Mapping[str, Effect]:
    """Every kind of change, with what it does once it is approved."""
    return {
        people.ENROL: people.EFFECT,
        granting.ROLE_GRANT: granting.GRANT,
        granting.PASSKEY_INVITE: granting.INVITE,
        promoting.PROMOTE: promoting.effect(lambda: site.in_force),
        activating.ACTIVATE: activating.EFFECT,
        **enlisting.EFFECTS,
        activating_policy.ACTIVATE: activating_policy.effect(lambda conn: _policy_hash(site, conn), site.policy_name),
    }


class Standing(msgspec.Struct, frozen=True):
    """One scope as ``autonomy status`` shows it. bound_ppm: Clopper-Pearson, of reviewed closes and would-be closes.
    missing: what stands between it and its next stage; empty when a person may approve it. threshold_pico: highest score
    that its reviews vouch for, None when none is."""

    scope: str
    title: str
    stage: str
    may_close: bool
    stopped: bool
    halted: str
    reviewed: int
    threats: int
    bound_ppm: int
    certificate_unats: int
    strict_unats: int
    alarm_unats: int
    change_unats: int
    threshold_pico: int | None
    closes: int
    missing: tuple[str, ...]


def standing(site: Site) -> tuple[Standing, ...]:
    """Every scope, as of now."""
    now_ms = site.clock.now_ms()
    with reading(site.engine) as conn:
        governance = autonomy.load(conn, site.in_force, now_ms)
        autonomy.observe(governance, site.in_force, switches.stopped(conn))
        closes = read_closes.standing(conn)
    return tuple(_standing(name, governed, closes.get(name, 0), now_ms) for name, governed in governance.states.items())


def _standing(name: str, governed: Governed, closes: int, now_ms: int) -> Standing:
    state = governed.state
    return Standing(
        scope=name,
        title=DEFAULT_SCOPES[name].title,
        stage=state.stage.value,
        may_close=state.may_close and bool(governed.bands),
        stopped=state.stopped,
        halted=state.halted,
        reviewed=state.reviewed,
        threats=state.threats,
        bound_ppm=governed.bound_ppm,
        certificate_unats=state.certificate.unats,
        strict_unats=state.strict.unats,
        alarm_unats=state.alarm.unats,
        change_unats=state.change.unats,
        threshold_pico=governed.bands[-1].upto if governed.bands else None,
        closes=closes,
        missing=promotion.missing(state, now_ms),
    )


def _policy_hash(site: Site, conn: Connection) -> str:
    site.follow(conn)
    return site.policy.hash


def _same(one: Change, two: Change) -> bool:
    """Whether both lead the same thing the same way."""
    return (one.change, one.subject, one.was, one.to) == (two.change, two.subject, two.was, two.to)


class Impact:
    """Every method is one transaction with its ledger entries, covered by a checkpoint before it returns.

    operator: who acts when nobody is named; a name, not an identity that was proved.
    """

    def __init__(self, site: Site) -> None:
        self._site = self.site = site
        self._effects = effects(site)
        self.operator = os.environ.get("USER", "operator")

    def _policy(self, conn: Connection) -> PolicyEngine:
        """What decides at this moment, another process's activation included."""
        self._site.follow(conn)
        return self._site.policy

    def propose(self, wanted: Change) -> int:
        """Put a change before people; returns its number."""
        with writing(self._site.engine) as conn:
            number = changes.propose(conn, wanted, self._site.clock.now_ms(), self._effects, policy=self._policy(conn))
        self._site.seal()
        return number

    def promotion(self, scope: str) -> int:
        """Put the next stage of a scope before people, as the governor proposes it on the scope's evidence; returns the
        change's number, that of one which waits already if there is one. Raises ConflictError with all that is missing."""
        with writing(self._site.engine) as conn:
            now_ms = self._site.clock.now_ms()
            wanted = promoting.proposal(conn, scope, self._site.in_force, now_ms)
            waits = [one.id for one in changes.pending(conn, now_ms) if _same(one.change, wanted)]
            number = waits[0] if waits else changes.propose(conn, wanted, now_ms, self._effects, policy=self._policy(conn))
        self._site.seal()
        return number

    def activation(self, candidate: str) -> int:
        """Put a candidate model before people; returns the change's number."""
        with writing(self._site.engine) as conn:
            requester = act.person(conn, self.operator)
            wanted = activating.proposal(conn, candidate, requester)
            number = changes.propose(conn, wanted, self._site.clock.now_ms(), self._effects, policy=self._policy(conn))
        self._site.seal()
        return number

    def agent(self, name: str, purpose: str, operations: Sequence[str]) -> int:
        """Put an agent of the site's own before people, with a key made here; returns the change's number. The key is of no
        use until the change is approved."""
        with writing(self._site.engine) as conn:
            requester = act.person(conn, self.operator)
            draft = enlisting.addition(name, purpose, operations, "00" * 32, requester)  # a name that is none makes no file
            public = public_of(secret_file(agent_file(self._site.data, draft.subject)))
            wanted = enlisting.addition(name, purpose, operations, public, requester)
            number = changes.propose(conn, wanted, self._site.clock.now_ms(), self._effects, policy=self._policy(conn))
        self._site.seal()
        return number

    def policy_activation(self, texts: PolicyTexts) -> int:
        """Prove a policy set and put it before two people; returns the change's number. Raises what ``proved`` raises."""
        activating_policy.proved(texts)  # before the transaction: it may take seconds
        with writing(self._site.engine) as conn:
            requester = act.person(conn, self.operator)
            wanted = activating_policy.proposal(conn, texts, self._policy(conn).hash, requester)
            number = changes.propose(conn, wanted, self._site.clock.now_ms(), self._effects, policy=self._policy(conn))
        self._site.seal()
        return number

    def agent_resume(self, name: str, reason: str) -> int:
        """Put the lifting of an agent's kill switch before people; returns the change's number."""
        with writing(self._site.engine) as conn:
            requester = act.person(conn, self.operator)
            wanted = enlisting.resumption(conn, name, act.required_reason(reason), requester)
            number = changes.propose(conn, wanted, self._site.clock.now_ms(), self._effects, policy=self._policy(conn))
        self._site.seal()
        return number

    def waiting(self, number: int) -> changes.Pending:
        """A change that can still be answered."""
        with reading(self._site.engine) as conn:
            return changes.waiting(conn, number, self._site.clock.now_ms())

    def pending(self) -> tuple[changes.Pending, ...]:
        """All of them."""
        with reading(self._site.engine) as conn:
            return changes.pending(conn, self._site.clock.now_ms())

    def names(self) -> dict[str, str]:
        """Pseudonym → name of people."""
        with reading(self._site.engine) as conn:
            return people.names(conn)

    def approve(self, number: int, answer: changes.Answer) -> Approved | None:
        """Take a signed approval, and make the change with the last one that is needed. A policy is proved again first,
        outside the transaction: what was said when it was proposed is not taken on trust."""
        change = self.waiting(number).change
        if change.change == activating_policy.ACTIVATE:
            with reading(self._site.engine) as conn:
                texts = activating_policy.proposed(conn, change)
            activating_policy.proved(texts)
        with writing(self._site.engine) as conn:
            made = changes.approve(conn, number, answer, self._site.clock.now_ms(), self._effects, policy=self._policy(conn))
        self._site.seal()
        return made

    def deny(self, number: int, person: str, reason: str) -> None:
        """End a change."""
        with writing(self._site.engine) as conn:
            changes.deny(conn, number, person, reason, self._site.clock.now_ms())
        self._site.seal()

    def enrol(self, name: str, key: sshsig.PublicKey) -> int | None:
        """Enrol the first person at once; put any other before the approvers and return the change's number."""
        now_ms = self._site.clock.now_ms()
        number = None
        with writing(self._site.engine) as conn:
            if people.is_first(conn):
                people.enrol_first(conn, name, key, self.operator, now_ms)
            else:
                number = changes.propose(
                    conn, people.enrolment(conn, name, key), now_ms, self._effects, policy=self._policy(conn)
                )
        self._site.seal()
        return number

    def invite(self, name: str, role: str) -> tuple[str, int | None]:
        """(token of a one-time link, number of the change that must be approved before it works)."""
        now_ms = self._site.clock.now_ms()
        with writing(self._site.engine) as conn:
            token, wanted = granting.invite(conn, name, role, self.operator, now_ms)
            number = changes.propose(conn, wanted, now_ms, self._effects) if wanted else None
        self._site.seal()
        return token, number

    def grant(self, name: str, role: str) -> int | None:
        """Give a role at once, or put it before the approvers and return the change's number."""
        now_ms = self._site.clock.now_ms()
        with writing(self._site.engine) as conn:
            wanted = granting.grant(conn, name, role, self.operator, now_ms)
            number = changes.propose(conn, wanted, now_ms, self._effects) if wanted else None
        self._site.seal()
        return number

    def take(self, name: str, role: str, reason: str, *, last: bool = False) -> None:
        """Take a role away."""
        with writing(self._site.engine) as conn:
            granting.take(conn, name, role, self.operator, self._site.clock.now_ms(), reason, last=last)
        self._site.seal()

    def revoke(self, name: str, reason: str, *, last: bool = False) -> int:
        """Take everything from a person; returns how many keys and passkeys it was."""
        with writing(self._site.engine) as conn:
            keys = granting.revoke(conn, name, reason, self.operator, self._site.clock.now_ms(), last=last)
        self._site.seal()
        return keys

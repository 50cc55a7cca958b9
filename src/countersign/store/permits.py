"""The policy before every change and action: proposed, answered, made. One call at each of these places."""

from __future__ import annotations

from collections.abc import Sequence

from countersign.approvals.change import Change
from countersign.approvals.proposal import Proposal, digest
from countersign.approvals.quorum import Review
from countersign.model.entries import Actor
from countersign.policy import requests
from countersign.policy.engine import PolicyEngine, require
from countersign.policy.shipped import default_engine


def matter(change: Change) -> requests.Matter:
    """A change as the policy knows it."""
    return requests.Matter(change.change, change.requester, digest(change), change.expires_ms, change.people)


def action(proposal: Proposal) -> requests.Matter:
    """A proposed action as the policy knows it."""
    kind = f"action.{proposal.action}"
    return requests.Matter(kind, proposal.requester, digest(proposal), proposal.expires_ms, proposal.people)


def propose(policy: PolicyEngine | None, about: requests.Matter, now_ms: int) -> None:
    """Raises UsageError unless its requester may put it before people. policy: None for the shipped set."""
    require(policy or default_engine(), requests.propose(about, now_ms))


def approve(
    policy: PolicyEngine | None, about: requests.Matter, review: Review, signed: str, earlier: Sequence[Review]
) -> None:
    """Raises UsageError unless this answer counts. signed: the digest under the signature, which has been checked, as has
    the entitlement of its key; earlier: answers that count already."""
    used = any(one.by.id == review.by.id for one in earlier)
    asked = requests.approve(about, review.by, digest=signed, now_ms=review.at_ms, approver=True, verified=True, used=used)
    require(policy or default_engine(), asked)


def make(policy: PolicyEngine | None, change: Change, by: Actor, reviews: Sequence[Review], now_ms: int) -> None:
    """Raises UsageError unless these approvals carry the change."""
    about = matter(change)
    given = [requests.Given(one.by, about.digest, about.expires_ms) for one in reviews]
    require(policy or default_engine(), requests.change(about, by, given, now_ms))

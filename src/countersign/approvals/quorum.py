"""Who may approve, and when enough people have (P1, P2, P3). A pure function over reviews; it opens no door by itself.

Refused, in this order: a draft, an agent, the requester, a review without a reason, one from outside the proposal's time,
a second review by the same person. As many denials as it takes end the matter; nothing counts after the expiry.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from countersign.approvals.proposal import Matter
from countersign.model.entries import Actor

HUMAN = "human"


class Review(msgspec.Struct, frozen=True):
    """One answer to a proposal. at_ms: when it was given, milliseconds since the epoch."""

    by: Actor
    approve: bool
    reason: str
    at_ms: int


class Standing(StrEnum):
    """Where a proposal stands with people."""

    WAITING = "waiting"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"


class Tally(msgspec.Struct, frozen=True):
    """approvals: people whose approval counts, of ``needed``. refused: (who, why) of the reviews that do not count."""

    standing: Standing
    approvals: tuple[str, ...]
    needed: int
    refused: tuple[tuple[str, str], ...]


def tally(proposal: Matter, requester: Actor, reviews: Sequence[Review], now_ms: int) -> Tally:
    """Where the proposal stands at ``now_ms``. ``reviews`` in the order in which they were given."""
    counted: dict[str, Review] = {}
    refused: list[tuple[str, str]] = []
    for review in reviews:
        why = "has answered before" if review.by.id in counted else refusal(proposal, requester, review, now_ms)
        if why:
            refused.append((review.by.id, why))
        else:
            counted[review.by.id] = review
    approvals = tuple(who for who, review in counted.items() if review.approve)
    needed = proposal.people
    denied = len(counted) - len(approvals) >= proposal.denials
    return Tally(
        _standing(proposal, now_ms, denied=denied, enough=len(approvals) >= needed), approvals, needed, tuple(refused)
    )


def refusal(proposal: Matter, requester: Actor, review: Review, now_ms: int) -> str:
    """Why a review does not count, "" when it does."""
    if proposal.is_draft:
        return "a draft cannot be approved"
    if review.by.type != HUMAN or not review.by.id:
        return "agents never approve"
    if review.by.id == requester.id:
        return "the requester never approves"
    if not review.reason.strip():
        return "a reason is required"
    if review.at_ms > now_ms:
        return "given in the future"
    return "given after the proposal expired" if review.at_ms >= proposal.expires_ms else ""


def _standing(proposal: Matter, now_ms: int, *, denied: bool, enough: bool) -> Standing:
    if denied:
        return Standing.DENIED
    if now_ms >= proposal.expires_ms:
        return Standing.EXPIRED
    return Standing.APPROVED if enough else Standing.WAITING

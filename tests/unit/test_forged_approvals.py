"""Forged keys, people and approvals, in logs that the log's own key signs as they stand."""

from __future__ import annotations

import pytest

from countersign.approvals.change import message
from countersign.model.entries import Kind
from tests.approval_story import (
    ADA,
    BEA,
    CYN,
    EVE,
    HOUR_MS,
    RESPONDER,
    Forgeries,
    Story,
    approved,
    people,
    person,
    told,
)
from tests.passkey_signing import Authenticator
from tests.ssh_signing import make, sign

EVES = make("ssh-ed25519", "story eve")
FORGERIES = Forgeries()
forgery = FORGERIES.note


@forgery("is not enrolled")
def a_signature_by_a_key_of_the_operators_own() -> Story:
    story = told()
    digest = story.entries[story.at["number"]].body["digest"]
    story.change("ada", signature=sign(EVES, message(digest)))
    return story


@forgery("without an approved change, after the first")
def a_person_let_in_by_nobody() -> Story:
    story = approved()
    story.enrolled(EVE, EVES)
    return story


@forgery("is not enrolled")
def an_approval_by_a_person_let_in_by_nobody() -> Story:
    story = people()
    story.enrolled(EVE, EVES)
    number = story.ask_action(CYN)
    story.sign(number, EVE, EVES, "waiting")
    return story


@forgery("which says something else (change)")
def a_person_let_in_by_a_change_about_something_else() -> Story:
    story = people()
    story.enrolled(EVE, EVES, change=4)
    return story


@forgery("which was used before")
def a_change_used_twice() -> Story:
    story = people()
    story.role(BEA, 4)
    return story


@forgery("gives approver without an approved change")
def a_role_given_by_nobody() -> Story:
    story = people()
    story.role(EVE, -1)
    return story


@forgery("is not an approver's")
def an_approval_by_a_role_given_by_nobody() -> Story:
    story = people()
    story.passkey(EVE, Authenticator("eve"), "invite")
    story.role(EVE, -1)
    story.press(story.ask_action(CYN), EVE, Authenticator("eve"), "waiting")
    return story


@forgery("made for something else")
def an_assertion_over_something_else() -> Story:
    story = people()
    number = story.ask_action(CYN)
    story.press(number, BEA, story.bea, "waiting", digest="ab" * 32)
    return story


@forgery("made for something else")
def an_assertion_of_another_proposal() -> Story:
    story = approved()
    again = story.ask_action(CYN)
    held = story.entries[story.at["bea"]].body
    story.press(again, BEA, story.bea, "waiting", "copied")
    story.change("copied", webauthn=held["webauthn"])
    return story


@forgery("count did not grow")
def a_passkey_that_was_copied() -> Story:
    story = approved()
    story.press(story.ask_action(CYN), BEA, story.bea, "waiting", count=1)
    return story


@forgery("did not verify its user")
def an_authenticator_that_verified_nobody() -> Story:
    story = people()
    story.press(story.ask_action(CYN), BEA, story.bea, "waiting", flags=1)
    return story


@forgery("at another address")
def an_assertion_made_at_another_address() -> Story:
    story = people()
    story.press(story.ask_action(CYN), BEA, story.bea, "waiting", origin="https://elsewhere.test")
    return story


@forgery("in answer to a question of another time")
def an_assertion_that_was_kept_for_later() -> Story:
    story = people()
    number = story.ask_action(CYN)
    nonce = f"{story.now_ms - HOUR_MS:012x}{'0' * 40}"
    story.press(number, BEA, story.bea, "waiting", nonce=nonce)
    return story


@forgery("enrolled before")
def a_passkey_with_another_key_under_its_name() -> Story:
    story = approved()
    story.passkey(BEA, story.bea, "session")
    return story


@forgery("the requester never approves")
def an_approval_by_whoever_asked() -> Story:
    story = people()
    story.sign(story.ask_action(ADA), ADA, story.ada, "waiting")
    return story


@forgery("agents never approve")
def an_approval_by_an_agent() -> Story:
    story = approved()
    story.change("ada", actor=RESPONDER)
    return story


@forgery("for somebody else")
def an_approval_in_the_name_of_another() -> Story:
    story = told()
    story.change("ada", actor=person(EVE))
    return story


@forgery("one person counts once")
def one_person_twice() -> Story:
    story = people()
    number = story.ask_action(CYN)
    story.sign(number, ADA, story.ada, "waiting")
    story.sign(number, ADA, story.ada, "approved")
    return story


@forgery("says that it is approved, with 1 of 2")
def too_few_people() -> Story:
    story = told()
    story.change("ada", standing="approved")
    return story


@forgery("given after the proposal expired")
def an_approval_that_came_too_late() -> Story:
    story = people()
    number = story.ask_action(CYN)
    story.now_ms += HOUR_MS
    story.sign(number, ADA, story.ada, "waiting")
    return story


@forgery("a reason is required")
def an_approval_without_a_reason() -> Story:
    story = told()
    story.change("ada", reason=" ")
    return story


@forgery("was revoked")
def an_approval_by_a_revoked_key() -> Story:
    story = people()
    fingerprint = story.entries[1].body["fingerprint"]
    story.add(Kind.PERSON_REVOKED, person(BEA), ADA, "command", {"reason": "left", "fingerprints": [fingerprint]})
    story.sign(story.ask_action(CYN), ADA, story.ada, "waiting")
    return story


@forgery("answers what is denied already")
def an_approval_of_what_was_denied() -> Story:
    story = people()
    number = story.ask_action(CYN)
    body = {"digest": story.entries[number].body["digest"], "reason": "no", "standing": "denied"}
    story.add(Kind.PROPOSAL_DENIED, person(BEA), str(number), str(number), body)
    story.sign(number, ADA, story.ada, "waiting")
    return story


@forgery("answers another digest")
def an_approval_of_another_digest() -> Story:
    story = told()
    story.change("ada", digest="ab" * 32)
    return story


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_that_the_operator_signed_is_named(name: str) -> None:
    FORGERIES.is_named(name)

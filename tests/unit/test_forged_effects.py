"""Forged proposals, actions and changes, in logs that the log's own key signs as they stand."""

from __future__ import annotations

import msgspec
import pytest

from countersign.model.entries import Kind
from tests.approval_story import (
    ADA,
    BEA,
    CYN,
    EVE,
    RESPONDER,
    SYSTEM,
    Forgeries,
    Story,
    approved,
    people,
    person,
    told,
)

FORGERIES = Forgeries()
forgery = FORGERIES.note


@forgery("rests on approvals that do not count")
def an_approval_that_is_not_there() -> Story:
    story = told()
    story.entries[story.at["bea"]] = msgspec.structs.replace(
        story.entries[story.at["number"]], kind=Kind.CASE_ASSIGNED, body={"owner": ""}
    )
    return story


@forgery("rests on 1 valid approvals, 2 are needed")
def an_action_with_one_of_two() -> Story:
    story = told()
    story.change("action.intended", approvals=[story.at["ada"]])
    return story


@forgery("rests on approvals that do not count")
def one_approval_counted_twice() -> Story:
    story = told()
    story.change("action.intended", approvals=[story.at["ada"]] * 2)
    return story


@forgery("rests on approvals that do not count")
def an_action_on_an_approval_whose_key_was_revoked_since() -> Story:
    story = approved()
    story.add(Kind.PERSON_REVOKED, person(BEA), ADA, "command", {"reason": "left", "fingerprints": []})
    story.intended(story.at["number"], [story.at["ada"], story.at["bea"]])
    return story


@forgery("whose digest is another")
def a_change_that_says_something_else() -> Story:
    story = people()
    text = story.entries[4].body["proposal"].replace("approver", "admin")
    story.change("change.proposed", proposal=text)
    return story


@forgery("is not that of the bytes beside the log")
def bytes_beside_the_log_that_say_something_else() -> Story:
    story = told()
    (blob,) = story.blobs
    story.blobs[blob] = story.blobs[blob].replace(b"dc-01", b"dc-02")
    return story


@forgery("another people than its bytes")
def fewer_people_than_a_critical_host_needs() -> Story:
    story = told()
    story.change("proposal.created", people=1)
    return story


@forgery("another target than its bytes")
def another_target_in_the_entry() -> Story:
    story = told()
    story.change("proposal.created", targets=["host:dc-02"])
    return story


@forgery("of what was never proposed")
def an_action_that_nobody_proposed() -> Story:
    story = people()
    body = {"digest": "ab" * 32, "action": "isolate_host", "approvals": [], "minutes": 0}
    story.add(Kind.ACTION_INTENDED, RESPONDER, "999", "999", body)
    return story


@forgery("rests on 0 valid approvals")
def an_action_that_nobody_approved() -> Story:
    story = people()
    number = story.ask_action(CYN)
    story.intended(number, [])
    return story


@forgery("nothing was intended before")
def an_effect_without_an_intent() -> Story:
    story = approved()
    story.started(story.at["number"])
    return story


@forgery("no checkpoint covered the intent")
def an_effect_before_its_intent_was_sealed() -> Story:
    story = told()
    story.change("action.started", sealed=story.at["action.intended"])
    return story


@forgery("cannot be sealed")
def an_approval_used_twice() -> Story:
    story = told()
    story.intended(story.at["number"], [story.at["ada"], story.at["bea"]])
    return story


@forgery("cannot be started")
def an_effect_done_twice() -> Story:
    story = told()
    story.started(story.at["number"])
    return story


@forgery("cannot be probed_ok")
def a_probe_of_what_was_not_started() -> Story:
    story = approved()
    story.probed(story.at["number"])
    return story


@forgery("approved was isolate_host")
def another_action_than_was_approved() -> Story:
    story = told()
    story.change("action.intended", action="disable_account")
    return story


@forgery("for another time than was approved")
def a_longer_time_than_was_approved() -> Story:
    story = told()
    story.change("action.intended", minutes=0)
    return story


@forgery("autonomy.promoted by change 4, which says something else (change)")
def autonomy_that_nobody_approved() -> Story:
    story = people()
    story.add(Kind.AUTONOMY_PROMOTED, SYSTEM, "endpoint", "5", {"before": "advise", "after": "supervised"})
    return story


@forgery("model.activated without an approved change")
def a_model_that_nobody_approved() -> Story:
    story = people()
    story.add(Kind.MODEL_ACTIVATED, person(ADA), "ab" * 32, "approval", {"model": "ab" * 32, "approval": "1"})
    return story


@forgery("policy.activated without an approved change")
def a_policy_that_nobody_approved() -> Story:
    story = people()
    story.add(Kind.POLICY_ACTIVATED, SYSTEM, "cedar/x", "start", {"hash": "ab" * 32, "origin": "site"})
    return story


@forgery("agent.registered without an approved change")
def an_agent_that_nobody_approved() -> Story:
    story = people()
    body = {"purpose": "p", "owner": EVE, "public_key": "00" * 32, "key": "", "operations": "action.run"}
    story.add(Kind.AGENT_REGISTERED, SYSTEM, "helper", "start", body)
    return story


@forgery("is not as it should be")
def an_entry_without_what_it_needs() -> Story:
    story = told()
    story.entries[story.at["ada"]] = msgspec.structs.replace(story.entries[story.at["ada"]], body={})
    return story


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_that_the_operator_signed_is_named(name: str) -> None:
    FORGERIES.is_named(name)
